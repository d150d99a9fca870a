"""Gradient boosting on top of a logistic regression, by LightGBM."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ceiba.errors import MissingExtraError, ModelFormatError
from ceiba.fusion.logistic import LogisticFusion
from ceiba.fusion.tree_arrays import core_trees
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import Fields

_FILE = "boosting.json"
_LARGEST_LOGIT = 16.0
_ROUNDS = 150  # 100 to 400 are alike on a validation split of GND records
_SHARE, _FEWEST = 0.4, 12  # part and number of the features that a tree may use: nearly equal ones share the trees
_PARAMS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,  # sums in the order of rows, whatever the number of threads
    "verbose": -1,
}


def has_lightgbm() -> bool:
    """Return whether LightGBM is installed."""
    return find_spec("lightgbm") is not None


@component("gbdt", "fusion")
class BoostedFusion:
    """Trees that correct the logit of a logistic regression.

    Parameters
    ----------
    logistic : LogisticFusion
    booster : lightgbm.Booster

    Notes
    -----
    Probabilities are LightGBM's, but its trees are evaluated by the core: a call of LightGBM costs a millisecond.

    References
    ----------
    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
    """

    kind: ClassVar[str]

    def __init__(self, logistic: LogisticFusion, booster: Any):
        self._logistic, self._booster = logistic, booster
        self._trees = core_trees(booster.model_to_string(), len(logistic.coef_))

    @classmethod
    def fitted(
        cls, features: NDArray[np.float32], right: NDArray[np.bool_], *, seed: int, n_threads: int
    ) -> BoostedFusion:
        """Return a fusion that learned from pairs.

        Raises
        ------
        MissingExtraError
            When LightGBM is not installed.
        """
        _lightgbm()
        logistic = LogisticFusion().fit(features, right, n_threads=n_threads)
        start = _logit(logistic, features)
        return cls(logistic, train_booster(features, right, start, seed=seed, n_threads=n_threads))

    def probability(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each pair."""
        if not len(features):
            return np.empty(0, np.float32)
        start = _logit(self._logistic, features)  # checks the features too
        return expit(start + self._trees.sum(features)).astype(np.float32)

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each feature adds to the logit: in the regression, and in the trees by Shapley values."""
        in_trees = self._booster.predict(features, pred_contrib=True, num_threads=1)[:, :-1]
        return self._logistic.contributions(features) + in_trees

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the trees as text, beside the regression."""
        writer.json(_FILE, text_of(self._booster))
        return self._logistic.save(writer)

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> BoostedFusion:
        """Read what `save` wrote."""
        logistic = LogisticFusion.load(files, fields, context)
        booster = load_booster(files, _FILE, len(logistic.coef_))
        try:
            return cls(logistic, booster)
        except ValueError as error:
            raise ModelFormatError(f"{files.path(_FILE)}: {error}") from error

    def __reduce__(self) -> Any:
        return BoostedFusion, (self._logistic, self._booster)


def clipped_logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logits of probabilities, which are finite for 0 and 1 too."""
    return np.clip(logit(p), -_LARGEST_LOGIT, _LARGEST_LOGIT)


def train_booster(
    features: NDArray[np.float32],
    right: NDArray[np.bool_],
    start: NDArray[np.float64],
    *,
    seed: int,
    n_threads: int,
) -> Any:
    """Return a booster of LightGBM whose trees correct the logits `start`."""
    share = min(1.0, max(_SHARE, _FEWEST / features.shape[1]))
    params = {**_PARAMS, "feature_fraction": share, "seed": seed % 2**31, "num_threads": n_threads}
    lightgbm = _lightgbm()
    return lightgbm.train(params, lightgbm.Dataset(features, right.astype(np.float32), init_score=start), _ROUNDS)


def text_of(booster: Any) -> str:
    """Return a booster of LightGBM as text, without the number of threads it was trained with."""
    lines = booster.model_to_string().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("[num_threads:"))


def load_booster(files: FolderFiles, file: str, n_features: int) -> Any:
    """Read a booster of LightGBM from a file; ModelFormatError where it is damaged or has other features."""
    lightgbm, text = _lightgbm(), files.json(file)
    if not isinstance(text, str):
        raise ModelFormatError(f"{files.path(file)} does not hold trees.")
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelFormatError(f"{files.path(file)}: {error}") from error
    if booster.num_feature() != n_features:
        raise ModelFormatError(
            f"{files.path(file)}: its trees are of {booster.num_feature()} features, not of {n_features}."
        )
    return booster


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingExtraError("lightgbm", "boosting", "A boosted fusion") from None
    return lightgbm


def _logit(logistic: LogisticFusion, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return clipped_logit(logistic.probability(features).astype(np.float64))
