"""What scores mean and which labels are predicted: a calibrator and thresholds, learned after a model is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Exactly, Interval, Options
from ceiba.data.label_matrix import is_positive
from ceiba.errors import CeibaError, InputError, ModelFormatError
from ceiba.fusion.calibration import CALIBRATORS, Calibrator, make_calibrator
from ceiba.fusion.precision_curve import PrecisionCurve
from ceiba.fusion.thresholds import OBJECTIVES, Thresholds
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import OBJECT, STRING, Fields
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.ranked import Ranked

# The best labels of a row that calibration and thresholds are learned from: those below are hardly ever right.
N_LEARNED_FROM = 200
TUNED = "tuned"  # the value of `prediction_threshold` for tuned thresholds
UNTUNED = 0.5  # the threshold of `predict` where none was tuned or set
_FILE = "decision.safetensors"
_CURVE = ("thresholds", "precision", "recall", "labels_per_row")
_STEPS = 40
_SHARE = Interval(float, 0, 1)


@component("decision", "decision")
@dataclass(frozen=True, eq=False)
class Decision:
    """Calibrator and thresholds of a model's scores in [0, 1].

    Attributes
    ----------
    combine : str
        The combine function that the scores were made with, without "log-".
    calibrator : Calibrator or None
        Of the scale "probability".
    thresholds : Thresholds or None
        On scores before calibration, so that they stay what they are when the model is calibrated.
    """

    kind: ClassVar[str]
    combine: str
    calibrator: Calibrator | None = None
    thresholds: Thresholds | None = None

    def check(self, ctx: SearchContext) -> None:
        """Raise InputError where scores are combined in another way than when this was learned."""
        if _form(ctx) != self.combine:
            what = "thresholds were tuned" if self.calibrator is None else "model was calibrated"
            raise InputError(
                f"The {what} with combine={self.combine!r}, but combine is {ctx.combine!r} now: set it back, or "
                "calibrate and tune again."
            )

    def outcome(self, scores: NDArray[np.float32], ctx: SearchContext) -> NDArray[np.float32]:
        """Return probabilities where there is a calibrator, otherwise the scores themselves; -inf stays -inf."""
        if self.calibrator is None:
            return scores
        found = self.calibrator.probability(plain_scores(scores, ctx)).astype(np.float32)
        found[scores == -np.inf] = -np.inf
        return found

    def least(self, threshold: float | None) -> float:
        """Return the score, before calibration, below which no label is predicted."""
        if threshold is None and self.thresholds is not None:
            return self.thresholds.least
        threshold = UNTUNED if threshold is None else threshold
        return threshold if self.calibrator is None else _inverse(self.calibrator, threshold)

    def predicts(self, found: Ranked, threshold: float | None, ctx: SearchContext) -> NDArray[np.bool_]:
        """Return which labels reach a threshold; None takes the tuned ones."""
        if threshold is None and self.thresholds is not None:
            return self.thresholds.reached(found.ids, plain_scores(found.scores, ctx).astype(np.float32))
        threshold = UNTUNED if threshold is None else threshold
        values = self.outcome(found.scores, ctx)
        return (values if self.calibrator is not None else plain_scores(values, ctx)) >= threshold

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the arrays of calibrator and thresholds."""
        arrays: dict[str, NDArray] = {}
        fields: dict[str, Any] = {"combine": self.combine, "calibrator": None, "thresholds": None}
        if self.calibrator is not None:
            arrays.update({f"calibrator.{name}": array for name, array in self.calibrator.arrays().items()})
            fields["calibrator"] = self.calibrator.method
        if self.thresholds is not None:
            own = self.thresholds
            if own.label_thresholds is not None:
                arrays["label_thresholds"] = own.label_thresholds
            arrays.update({f"curve.{name}": getattr(own.curve, name) for name in _CURVE})
            fields["thresholds"] = {
                "threshold": own.threshold,
                "per_label": own.label_thresholds is not None,
                "objective": own.objective,
                "value": own.value,
                "precision": own.precision,
                "recall": own.recall,
                "shrinkage": None if np.isinf(own.shrinkage) else own.shrinkage,
            }
        writer.tensors(_FILE, arrays)
        return fields

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> Decision:
        """Read what `save` wrote."""
        arrays, path = files.tensors(_FILE), files.path(_FILE)
        calibrator, thresholds = None, None
        method = fields.get("calibrator", Options(*CALIBRATORS), Exactly(None))
        if method is not None:
            own = {name.removeprefix("calibrator."): array for name, array in arrays.items()}
            try:
                calibrator = CALIBRATORS[method].from_arrays(own, "probability")
            except CeibaError as error:
                raise ModelFormatError(f"{path}: {error}") from error
        if fields.get("thresholds", OBJECT, Exactly(None)) is not None:
            n_labels = len(context.part("labels", fields))
            thresholds = _load_thresholds(fields.within("thresholds"), arrays, n_labels, path)
        return cls(fields.get("combine", STRING), calibrator, thresholds)


def learn_calibrator(found: Ranked, Y: sp.csr_array, method: str, ctx: SearchContext) -> Calibrator:
    """Fit a calibrator on ranked labels. A pair counts the less, the lower its rank: 1, 1/2, 1/3 and so on."""
    calibrator = make_calibrator(method, "probability")
    return calibrator.fit(plain_scores(found.scores, ctx), is_positive(Y, found.rows, found.ids), 1 / (found.ranks + 1))


def new_decision(ctx: SearchContext) -> Decision:
    """Return a decision in which nothing was learned yet."""
    return Decision(_form(ctx))


def plain_scores(scores: NDArray[np.float32], ctx: SearchContext) -> NDArray[Any]:
    """Return scores in [0, 1], whichever form they have."""
    return np.exp(scores.astype(np.float64)) if ctx.logarithms else scores


def lowered(score: float) -> float:
    """Return a limit a little lower, with room for rounding. The caller removes labels below the exact one."""
    return score - 1e-5 * (1 + abs(score)) if np.isfinite(score) else score


def _form(ctx: SearchContext) -> str:
    return ctx.combine.removeprefix("log-")


def _inverse(calibrator: Calibrator, probability: float) -> float:
    """Return a score that every score of at least that probability reaches."""
    low, high = 0.0, 2.0  # above all scores, where none has the probability
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle > 1 or calibrator.probability(np.array([middle]))[0] >= probability:
            high = middle
        else:
            low = middle
    return low


def _load_thresholds(fields: Fields, arrays: dict[str, NDArray], n_labels: int, path: Any) -> Thresholds:
    own = None
    if fields.get("per_label", Exactly(True, False)):
        own = arrays.get("label_thresholds")
        if own is None or own.shape != (n_labels,) or own.dtype != np.float32 or not np.isfinite(own).all():
            raise ModelFormatError(f"{path} does not have a threshold for each of {n_labels} labels.")
    curve: list[Any] = [arrays.get(f"curve.{name}") for name in _CURVE]
    sizes = {None if part is None or part.dtype.kind != "f" or part.ndim != 1 else len(part) for part in curve}
    if len(sizes) != 1 or None in sizes:
        raise ModelFormatError(f"{path} does not have the curve of its thresholds.")
    shrinkage = fields.get("shrinkage", Interval(float, 0, None), Exactly(None))
    return Thresholds(
        threshold=float(fields.get("threshold", Interval(float, None, None))),
        label_thresholds=own,
        objective=fields.get("objective", Options(*OBJECTIVES)),
        **{name: float(fields.get(name, _SHARE)) for name in ("value", "precision", "recall")},
        shrinkage=np.inf if shrinkage is None else float(shrinkage),
        curve=PrecisionCurve(*curve),
    )
