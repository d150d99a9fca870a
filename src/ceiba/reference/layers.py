"""Linear classifiers by their objective, solved to the optimum; a twin of `ceiba.linear.layer`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize

from ceiba.data.instances import InstanceLists
from ceiba.features.matrix import FeatureMatrix
from ceiba.linear.layer import Layer
from ceiba.linear.solve import SolverSettings
from ceiba.reference.weights import pack


def objective(
    weights: NDArray, intercept: float, X: sp.csr_array, y: NDArray, cost: NDArray, loss: str, bias: float
) -> float:
    """Return half the squared length of the weights plus the costs of the errors.

    The intercept is the weight of a constant feature of value `bias`, and is regularised as such a weight.

    Parameters
    ----------
    weights : ndarray of shape (D,)
    intercept : float
    X : csr_array of shape (n, D)
    y : ndarray of shape (n,)
        1 or -1.
    cost : ndarray of shape (n,)
    loss : {"squared_hinge", "hinge", "logistic"}
    bias : float
    """
    constant = intercept / bias if bias else 0.0
    margin = y * (X @ weights + intercept)
    return 0.5 * (weights @ weights + constant**2) + float(cost @ loss_of(margin, loss))


def loss_of(margin: NDArray, loss: str) -> NDArray:
    """Return the loss of each margin."""
    if loss == "logistic":
        return np.logaddexp(0.0, -margin)
    hinge = np.maximum(0.0, 1.0 - margin)
    return hinge**2 if loss == "squared_hinge" else hinge


def gradient(
    weights: NDArray, intercept: float, X: sp.csr_array, y: NDArray, cost: NDArray, loss: str, bias: float
) -> NDArray:
    """Return the objective's gradient in the weights and, last, the constant feature's weight; smooth losses only.

    The objective is strongly convex: its value is above the optimum by at most half the squared length of this.
    """
    margin = y * (X @ weights + intercept)
    slope = -1.0 / (1.0 + np.exp(margin)) if loss == "logistic" else -2.0 * np.maximum(0.0, 1.0 - margin)
    pull = cost * y * slope
    constant = intercept / bias if bias else 0.0
    return np.append(weights + X.T @ pull, constant + bias * pull.sum())


def solve(X: sp.csr_array, y: NDArray, cost: NDArray, loss: str, bias: float) -> tuple[NDArray, float]:
    """Return the weights and the intercept of the least objective."""
    if loss == "hinge":
        return _solve_hinge(X, y, cost, bias)

    def value(v: NDArray) -> float:
        return objective(v[:-1], bias * v[-1], X, y, cost, loss, bias)

    def slope(v: NDArray) -> NDArray:
        return gradient(v[:-1], bias * v[-1], X, y, cost, loss, bias)

    start = np.zeros(X.shape[1] + 1)
    options: Any = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-7}
    found = minimize(value, start, jac=slope, method="L-BFGS-B", options=options)
    return found.x[:-1], bias * found.x[-1]


def _solve_hinge(X: sp.csr_array, y: NDArray, cost: NDArray, bias: float) -> tuple[NDArray, float]:
    """Solve the dual, one coordinate after the other, until objective and dual objective meet."""
    rows = np.column_stack([X.toarray(), np.full(X.shape[0], bias)]) * y[:, None]
    length2 = (rows**2).sum(axis=1)
    alpha = np.where(length2 > 0, 0.0, cost)
    v = np.zeros(rows.shape[1])
    gap, value = np.inf, 0.0
    while gap > 1e-6 * value:
        for i in np.flatnonzero(length2 > 0):
            new = min(max(alpha[i] - (rows[i] @ v - 1.0) / length2[i], 0.0), cost[i])
            v += (new - alpha[i]) * rows[i]
            alpha[i] = new
        value = 0.5 * v @ v + cost @ np.maximum(0.0, 1.0 - rows @ v)
        gap = value - (alpha.sum() - 0.5 * v @ v)
    return v[:-1], bias * v[-1]


def problem(
    X: FeatureMatrix,
    matched: InstanceLists,
    positives: InstanceLists,
    parent: int,
    child: int,
    settings: SolverSettings,
) -> tuple[sp.csr_array, NDArray, NDArray]:
    """Return what one child learns from: its instances, their signs and their costs."""
    instances = matched.indices[matched.ptr[parent] : matched.ptr[parent + 1]]
    own = slice(positives.ptr[child], positives.ptr[child + 1])
    positive = np.isin(instances, positives.indices[own])
    y = np.where(positive, 1.0, -1.0)
    cost = settings.C * np.where(positive, settings.cost_positive, settings.cost_negative)
    if positives.weight is not None:
        relevance = dict(zip(positives.indices[own].tolist(), positives.weight[own].tolist(), strict=True))
        cost = cost * np.array([relevance.get(i, 1.0) for i in instances.tolist()])
    return X.to_scipy().astype(np.float64)[instances], y, cost


def train_weights(
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
) -> tuple[NDArray, NDArray]:
    """Return the optimal weights W_t (D, K_t) and intercepts (K_t,) of one level."""
    W = np.zeros((X.n_features, positives.n_nodes))
    intercepts = np.zeros(positives.n_nodes)
    for parent in range(len(child_ptr) - 1):
        for child in range(child_ptr[parent], child_ptr[parent + 1]):
            rows, y, cost = problem(X, matched, positives, parent, child, settings)
            W[:, child], intercepts[child] = solve(rows, y, cost, settings.loss, settings.bias)
    return W, intercepts


def threshold(W: NDArray, limit: Any) -> NDArray:
    """Return the weights (D, K) without those of a magnitude below the limit, or below that of each column."""
    return np.where(np.abs(W) >= limit, W, 0.0)


def train_layer(
    X: FeatureMatrix,
    child_ptr: NDArray[np.int64],
    matched: InstanceLists,
    positives: InstanceLists,
    settings: SolverSettings,
) -> Layer:
    """Train the classifiers of one level to the optimum; see `ceiba.linear.layer.train_layer`."""
    W, intercepts = train_weights(X, child_ptr, matched, positives, settings)
    W = threshold(W, settings.weight_threshold)
    return pack(W, intercepts, child_ptr, settings.weight_dtype)
