"""Logistic regression by SciPy's minimizer; a twin of `ceiba.fusion.logistic`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize


def fit_logistic(
    features: NDArray, y: NDArray, sample_weight: NDArray | None = None, C: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return mean, scale, coefficients of standardized features, and the intercept."""
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    rows, sign = np.asarray(features, np.float64), np.where(y, 1.0, -1.0)
    mean = np.average(rows, axis=0, weights=weight)
    scale = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weight))
    constant = scale <= 1e-9 * np.abs(mean)
    scale[constant] = 1.0
    Z = np.column_stack([np.where(constant, 0.0, (rows - mean) / scale), np.ones(len(y))])
    penalized = np.append(np.ones(len(scale)), 0.0)

    def objective(coef: NDArray) -> tuple[float, NDArray]:
        margin = sign * (Z @ coef)
        value = C * (weight * np.logaddexp(0, -margin)).sum() + (penalized * coef**2).sum() / 2
        slope = -C * weight * sign * np.exp(-np.logaddexp(0, margin))
        return value, Z.T @ slope + penalized * coef

    found = minimize(
        objective,
        np.zeros(Z.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return mean, scale, found.x[:-1], float(found.x[-1])


def probability(
    features: NDArray, mean: NDArray, scale: NDArray, coef: NDArray, intercept: float
) -> NDArray[np.float64]:
    """Return the probability of each row."""
    return np.exp(-np.logaddexp(0, -((features - mean) / scale @ coef + intercept)))
