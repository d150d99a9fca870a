"""Blocks of rows that an executor's workers answer; each worker maps the model from its folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.errors import CeibaError, ClusterError
from ceiba.executors import Piece, PieceContext


@dataclass(frozen=True)
class ModelPlace:
    """A model folder as all nodes see it: its path, and the digest of what is in it."""

    path: str
    digest: str

    @classmethod
    def of(cls, folder: Path) -> ModelPlace:
        """Return the place of a model, which must be the same on every node."""
        return cls(str(folder.expanduser().absolute()), _digest(folder))


def _digest(folder: Path) -> str:
    import hashlib

    from ceiba.io import current_generation

    return hashlib.sha256((current_generation(folder) / "model.json").read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def _opened(place: ModelPlace) -> tuple[Any, dict[Any, str] | None]:
    """Return a model and the texts of its labels; mapped once in a process, its pages shared by all of a node."""
    import platform

    from ceiba.cli import inputs

    folder = Path(place.path)
    try:
        same = _digest(folder) == place.digest
    except (OSError, CeibaError) as error:
        raise ClusterError(
            f"Node {platform.node()} cannot read the model in {folder}: {error} "
            "Put it where all nodes see it under the same path."
        ) from error
    if not same:
        raise ClusterError(f"Node {platform.node()} has another model in {folder}.")
    model = inputs.open_model(folder)
    return model, inputs.label_texts(model)


def fixed_blocks(batches: Iterable[Any], size: int) -> Iterator[Any]:
    """Yield the rows of batches again in blocks of the same size; the last may be smaller."""
    held: list[str] = []
    for batch in batches:
        if not isinstance(batch, list):  # slices of a matrix, which have one size already
            yield batch
            continue
        held += batch
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if held:
        yield held


def pieces_of(blocks: Iterable[Any], source: Path, denied: Any = None) -> Iterator[Piece]:
    """Yield a piece of work for each block; `denied` is a matrix of labels that each row must not get."""
    from ceiba.cli.inputs import n_rows

    done = 0
    for block in blocks:
        n = n_rows(block)
        name = f"{source}, rows {done + 1} to {done + n}"
        more = {} if denied is None else {"denied": denied[done : done + n]}
        yield Piece(name, {"rows": block, "first": done, **more}, n)
        done += n


def rank_block(
    *,
    model: ModelPlace,
    source: str,
    k: int,
    beam_size: int | None,
    rows: Any,
    first: int,
    context: PieceContext,
    denied: Any = None,
) -> dict[str, NDArray]:
    """Rank the labels of a block of rows, for ``ceiba evaluate``."""
    from ceiba.cli.inputs import finding_row

    own, _ = _opened(model)
    own.set_params(n_jobs=context.threads(1))
    with finding_row(source, rows, first, lambda some: own.predict_topk(some, k, beam_size=beam_size)):
        labels, scores = own.predict_topk(rows, k, beam_size=beam_size, denied=denied)
    return {"labels": labels, "scores": scores}


def answer_block(
    *,
    model: ModelPlace,
    source: str,
    k: int,
    beam_size: int | None,
    filters: Mapping[str, Any],
    with_text: bool,
    rows: Any,
    first: int,
    context: PieceContext,
) -> dict[str, NDArray]:
    """Return the Parquet file of the answers for a block of rows, for ``ceiba predict``."""
    from ceiba.cli import inputs
    from ceiba.cli.answers import open_writer
    from ceiba.cli.predict import answer_columns, row_writer

    own, texts = _opened(model)
    own.set_params(n_jobs=context.threads(1))
    file = io.BytesIO()
    columns = answer_columns(own, with_text=with_text)
    label = type(own.classes_[:1].tolist()[0])
    with inputs.finding_row(source, rows, first, lambda some: list(inputs.ranked(own, some, k, beam_size, **filters))):
        answers = list(inputs.ranked(own, rows, k, beam_size, **filters))
    with open_writer(file, [Path("answers.parquet")], columns, label) as writer:
        write = row_writer(writer, texts, with_text=with_text)
        for answer, text in zip(answers, rows if isinstance(rows, list) else [None] * len(answers), strict=True):
            write(answer, text)
    return {"file": np.frombuffer(file.getvalue(), np.uint8), "rows": np.array([len(answers)])}
