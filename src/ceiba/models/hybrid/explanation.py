"""Explanations of a hybrid model: the score of each source, and what it contributes to the probability."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from ceiba._shorten import shorten
from ceiba.models.nearest_texts import NearTrainingText
from ceiba.retrieval.generator import Evidence

_SHOWN = 200  # characters of a training text in a table


@dataclass(frozen=True)
class SourceEvidence:
    """The score of one source for a label.

    Attributes
    ----------
    name : str
    score : float
    rank : int or None
        The label's place among the source's candidates, from 1; None where it is not among them.
    contribution : float
        To the logit of the probability, compared with an average pair.
    """

    name: str
    score: float
    rank: int | None
    contribution: float


@dataclass(frozen=True)
class FusedExplanation:
    """A label's probability and what contributes to it, the largest contribution first.

    Attributes
    ----------
    label : str or int
    score : float
        The probability.
    sources : list of SourceEvidence
    others : dict of str to float
        Other contributions to the logit: of measures of text and label together, of the label alone ("label"), and of
        the other labels found ("row context").
    training_texts : list of NearTrainingText or None
        Training texts near to the text, the nearest first; None where the model does not keep them.
    """

    label: Any
    score: float
    sources: list[SourceEvidence]
    others: dict[str, float]
    training_texts: list[NearTrainingText] | None = None

    def __str__(self) -> str:
        lines = [f"{self.label!r}: probability {self.score:.4f}"]
        for each in self.sources:
            rank = "not found" if each.rank is None else f"rank {each.rank}"
            lines.append(f"    {each.contribution:+.3f}  {each.name} ({rank}, score {each.score:.4f})")
        lines += [f"    {value:+.3f}  {name}" for name, value in self.others.items()]
        if self.training_texts is not None:
            lines.append("nearest training texts")
            lines += [
                f"    {each.similarity:.3f}  {shorten(each.text, _SHOWN)!r} {each.labels}"
                for each in self.training_texts
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the explanation as a notebook shows it. Names are text, never markup."""
        rows = "".join(
            f"<tr><td>{each.contribution:+.3f}</td><td>{escape(each.name)}</td>"
            f"<td>{'' if each.rank is None else each.rank}</td><td>{each.score:.4f}</td></tr>"
            for each in self.sources
        )
        rows += "".join(
            f"<tr><td>{value:+.3f}</td><td>{escape(name)}</td><td></td><td></td></tr>"
            for name, value in self.others.items()
        )
        header = "<tr><th>contribution</th><th>source</th><th>rank</th><th>score</th></tr>"
        heading = escape(str(self).split("\n", 1)[0])
        table = f"<table><thead>{header}</thead><tbody>{rows}</tbody></table>"
        return f"<div><p><b>{heading}</b></p>{table}{self._html_of_texts()}</div>"

    def _html_of_texts(self) -> str:
        if self.training_texts is None:
            return ""
        rows = "".join(
            f"<tr><td>{each.similarity:.3f}</td><td>{escape(shorten(each.text, _SHOWN))}</td>"
            f"<td>{escape(', '.join(map(str, each.labels)))}</td></tr>"
            for each in self.training_texts
        )
        header = "<tr><th>similarity</th><th>training text</th><th>labels</th></tr>"
        return f"<table><thead>{header}</thead><tbody>{rows}</tbody></table>"


def fused_explanation(
    label: Any, evidence: Evidence, training_texts: list[NearTrainingText] | None = None
) -> FusedExplanation:
    """Return the explanation of a fused search's evidence, with training texts near to the text."""
    sources = [
        SourceEvidence(found.source, found.score, rank, contribution)
        for found, rank, contribution in evidence.details["sources"]
    ]
    sources.sort(key=lambda each: -each.contribution)
    return FusedExplanation(label, evidence.score, sources, dict(evidence.details["others"]), training_texts)
