"""A model of the service: loaded from its folder, and loaded anew when the folder has a new generation."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ceiba.errors import InputError
from ceiba.io import current_generation
from ceiba.models import load
from ceiba.serve.errors import ServiceError
from ceiba.serve.label_names import LabelNames

_LEAST = 1e-7  # a score's distance from 0 and 1, for its logit

logger = logging.getLogger("ceiba.serve")


@dataclass(frozen=True)
class Answer:
    """Ranked labels of one text, best first."""

    labels: list[Any]
    scores: list[float]


class Loaded:
    """One generation of a model; nothing in it changes.

    Parameters
    ----------
    folder : Path
    n_threads : int
        Threads of one call, where there is an encoder. Other models take longer to share a batch than to answer it.

    Attributes
    ----------
    generation : str
    saved : datetime
    model : estimator
    has_encoder : bool
    encodes_here : bool
        Whether the encoder computes on processors, where two batches at once keep two of them busy.
    calibrated : bool
        Whether scores are probabilities.
    ids : list
        Its labels.
    texts : dict of label to str, or None
    """

    def __init__(self, folder: Path, n_threads: int):
        self.generation, self.saved, self.model = _read(folder)
        if not self.model.reads_texts:
            raise InputError(f"{folder}: the model takes features. A service needs one that was trained on texts.")
        self.has_encoder = bool(self.model.encoder_devices)
        self.model.set_params(n_jobs=n_threads if self.has_encoder else 1)
        self.encodes_here = "cpu" in self.model.encoder_devices
        self.calibrated = bool(self.model.gives_probabilities)
        self._logarithms = self.model.combine.startswith("log-") and not self.calibrated
        self.ids: list[Any] = self.model.classes_.tolist()
        texts = self.model.label_texts_
        self.texts = None if texts is None else dict(zip(self.ids, texts.tolist(), strict=True))
        self._building = threading.Lock()
        self._columns: dict[str, int] | None = None
        self._names: LabelNames | None = None
        self.rank(["The first call prepares what later ones use."], 1)

    def text(self, label: Any) -> str | None:
        """Return the text of a label, None where it has none."""
        return None if self.texts is None else self.texts[label]

    def column(self, name: str, field: str) -> int:
        """Return the number of the label of a name; not for the event loop, as the first call takes long.

        Raises
        ------
        ServiceError
            422, when there is none.
        """
        with self._building:
            if self._columns is None:
                self._columns = {str(label): number for number, label in enumerate(self.ids)}
        found = self._columns.get(name)
        if found is None:
            raise ServiceError(422, f"The model has no label {name!r}.", field)
        return found

    def labels(self, names: Sequence[str] | None, field: str) -> tuple[Any, ...] | None:
        """Return the labels of names, each once; not for the event loop.

        Raises
        ------
        ServiceError
            422, when there is no label of a name.
        """
        if names is None:
            return None
        columns = dict.fromkeys(self.column(name, f"{field}.{number}") for number, name in enumerate(names))
        return tuple(self.ids[column] for column in columns)

    def search(self, query: str, n: int) -> list[int]:
        """Return the numbers of the first n labels whose id or text has a part like the query."""
        with self._building:
            if self._names is None:
                # an id and a text for each label: a query that begins either comes first
                self._names = LabelNames(name for label in self.ids for name in (str(label), self.text(label) or ""))
        found = dict.fromkeys(number // 2 for number in self._names.search(query, 2 * n))
        return list(found)[:n]

    def shown(self, score: float) -> float:
        """Return a score of the model's tree as the service shows it."""
        return math.exp(score) if self._logarithms else score

    def logits(self, texts: list[str], label: Any) -> list[float]:
        """Return the logit of a label's score for each text."""
        found = self.model.score_labels(texts, [[label]] * len(texts))
        scores = np.array([self.shown(float(score[0])) for score in found]).clip(_LEAST, 1 - _LEAST)
        return (np.log(scores) - np.log1p(-scores)).tolist()

    def rank(self, texts: list[str], k: int, **filters: Any) -> list[Answer]:
        """Return the k best labels of each text, with scores from 0 to 1."""
        labels, scores = self.model.predict_topk(texts, k=k, **filters)
        found = np.isfinite(scores).sum(axis=1).tolist()
        if self._logarithms:
            scores = np.exp(scores)
        rows = zip(labels.tolist(), scores.tolist(), found, strict=True)
        return [Answer(row[:n], values[:n]) for row, values, n in rows]


class ServedModel:
    """A model under a name, whose newest generation answers.

    Parameters
    ----------
    name : str
    folder : Path
    n_threads : int
        See `Loaded`.
    """

    def __init__(self, name: str, folder: Path, n_threads: int):
        self.name, self._folder, self._n_threads = name, folder, n_threads
        self._refreshing = threading.Lock()
        self._last_error = ""
        self.current = Loaded(folder, n_threads)

    def refresh(self) -> bool:
        """Load a new generation where there is one; calls under way finish on the old one.

        Returns
        -------
        bool
            Whether the model is another now. A folder that cannot be read leaves the old one.
        """
        with self._refreshing:
            try:
                if current_generation(self._folder).name == self.current.generation:
                    self._last_error = ""
                    return False
                self.current = Loaded(self._folder, self._n_threads)
            except Exception as error:  # whatever is wrong with the folder, the old generation goes on answering
                message = f"{type(error).__name__}: {error}"
                if message != self._last_error:  # once, not at every look
                    logger.warning("model %s stays at %s: %.1000r", self.name, self.current.generation, message)
                self._last_error = message
                return False
        logger.info("model %s is at %s", self.name, self.current.generation)
        return True


def _read(folder: Path) -> tuple[str, datetime, Any]:
    """Return a generation's name, the time it was saved, and its model; again, where another was saved meanwhile."""
    while True:
        generation = current_generation(folder)
        saved = datetime.fromtimestamp(generation.stat().st_mtime, UTC)
        model = load(folder)
        if current_generation(folder).name == generation.name:
            return generation.name, saved, model


def names_of(folders: Sequence[Path]) -> list[str]:
    """Return a name for each folder: its last part, made of letters, digits, points, lines; a number where twice."""
    names: list[str] = []
    for folder in folders:
        base = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in folder.resolve().name)
        base = base.strip(".") or "model"
        name, number = base, 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        names.append(name)
    return names
