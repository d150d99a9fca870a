"""The card of a model on the Hugging Face Hub: what it is, what it was trained on, and how well it does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ceiba._shorten import shorten
from ceiba.errors import InputError
from ceiba.metrics.frequency import BOUNDS

if TYPE_CHECKING:
    from ceiba.models.classifier import PartitionedClassifier

_TAIL, _HEAD = BOUNDS
_LONGEST = 80  # characters of a parameter


def model_card(
    model: PartitionedClassifier,
    repo_id: str,
    *,
    data: str | None,
    figures: Mapping[str, float] | None,
    language: str | Sequence[str] | None,
    license: str | None,
    training_texts: bool,
) -> str:
    """Return the text of README.md.

    Parameters
    ----------
    model : PartitionedClassifier
        A fitted model.
    repo_id : str
    data : str or None
        What the model was trained on, in words.
    figures : mapping of str to float, or None
        Measured figures, as `ceiba.metrics.evaluate` gives them.
    language, license : str, list of str or None
        For the card's header.
    training_texts : bool
        Whether the training texts are in the repository.
    """
    sections = [
        _header(language, license),
        f"# {repo_id.split('/')[-1]}",
        f"A {type(model).__name__} of [Ceiba](https://pypi.org/project/ceiba/): it ranks the labels of a text by "
        f"{'probability' if model.gives_probabilities else 'score'}.",
        "## Use",
        _usage(model, repo_id),
        "## Training data",
        *([data.strip()] if data else []),
        _table(("", ""), _data_facts(model)),
        _texts_note(model, training_texts),
        "## Figures",
        _figures(figures),
        "## Calibration",
        _calibration(model, figures),
        "## Parameters",
        _table(("parameter", "value"), _parameters(model)),
    ]
    return "\n\n".join(sections) + "\n"


def _header(language: str | Sequence[str] | None, license: str | None) -> str:
    fields: dict[str, Any] = {
        "library_name": "ceiba",
        "pipeline_tag": "text-classification",
        "tags": ["ceiba", "extreme-multi-label-classification", "multi-label-classification"],
    }
    if language is not None:
        fields["language"] = [language] if isinstance(language, str) else list(language)
    if license is not None:
        fields["license"] = license
    # JSON is YAML, and needs no second set of rules for quotation
    return "\n".join(
        ["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()), "---"]
    )


def _usage(model: PartitionedClassifier, repo_id: str) -> str:
    given = '["a text"]' if model.reads_texts else "X"
    return (
        "```python\n# pip install 'ceiba[hub]'\nimport ceiba\n\n"
        f'model = ceiba.from_pretrained("{repo_id}")\nlabels, scores = model.predict_topk({given}, k=5)\n```'
    )


def _data_facts(model: PartitionedClassifier) -> list[tuple[str, str]]:
    counts = model.label_counts_
    tail, head = int((counts < _TAIL).sum()), int((counts >= _HEAD).sum())
    return [
        ("training instances", f"{model.n_train_:,}"),
        ("labels", f"{len(counts):,}"),
        ("labels of an instance, mean", f"{counts.sum() / max(1, model.n_train_):.2f}"),
        (f"labels of fewer than {_TAIL} instances", f"{tail:,}"),
        (f"labels of {_TAIL} to {_HEAD - 1} instances", f"{len(counts) - tail - head:,}"),
        (f"labels of {_HEAD} instances or more", f"{head:,}"),
        ("features", f"{model.n_features_in_:,}"),
        ("label trees", f"{len(model.partitions_):,}"),
        ("texts of labels", "yes" if model.label_texts_ is not None else "no"),
    ]


def _texts_note(model: PartitionedClassifier, training_texts: bool) -> str:
    if training_texts:
        return "The repository holds the training texts."
    if not model.reads_texts:
        return "The repository does not hold the training data."
    return (
        "The repository does not hold the training texts. The features of the model come from their words, and sources "
        "that look up similar texts keep the weights of the words of each."
    )


def _figures(figures: Mapping[str, float] | None) -> str:
    if not figures:
        return "None were given."
    rows = []
    for name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise InputError(f"figures: {name!r} must be a number. Got {value!r}.")
        whole = isinstance(value, (int, np.integer))
        rows.append((name, f"{value:,}" if whole else f"{value:.2f}" if "@" in name else f"{value:.4f}"))
    note = "Figures with @ are percentages; their formulas are those of `ceiba.metrics`."
    return f"{_table(('figure', 'value'), rows)}\n\n{note}"


def _calibration(model: PartitionedClassifier, figures: Mapping[str, float] | None) -> str:
    if not model.gives_probabilities:
        return "Scores are not calibrated: they rank labels, and are no probabilities."
    how = "a fusion that was learned on held-out texts" if model.calibrator_ is None else "held-out data"
    said = f"Scores are probabilities, from {how}."
    if figures and "ECE" in figures:
        said += f" The expected calibration error (ECE) on the test data is {float(figures['ECE']):.4f}."
    return said if model.thresholds_ is None else f"{said} Thresholds are tuned."


def _parameters(model: PartitionedClassifier) -> list[tuple[str, str]]:
    shown = {name: " ".join(repr(value).split()) for name, value in model.get_params(deep=False).items()}
    return [(name, shorten(shown[name], _LONGEST)) for name in sorted(shown)]


def _table(header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [header, ("---", "---"), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Return a text that a table of Markdown shows as it is."""
    for sign in "\\|<>*_`[]":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return text
