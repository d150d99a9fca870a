"""Ranked labels as a data frame: a row for each answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba._params import Options, check
from ceiba.errors import InputError

KINDS = ("pandas", "polars", "pyarrow")


def check_kind(kind: Any) -> None:
    """Raise an error where there is no such library, or it is not installed."""
    check("kind", kind, [Options(*KINDS)], "predict_frame")
    try:
        __import__(kind)
    except ImportError:
        raise InputError(f"kind={kind!r}: {kind} is not installed. Install it, or choose another kind.") from None


def answer_frame(
    kind: str, labels: NDArray, scores: NDArray[np.float32], texts: dict[Any, str] | None, index: Any
) -> Any:
    """Return the answers of `predict_topk` as columns "row", "rank", "label", "text" where labels have any, "score".

    Parameters
    ----------
    kind : {"pandas", "polars", "pyarrow"}
    labels, scores : ndarray of shape (N, k)
    texts : dict of label to str, or None
    index : array-like of shape (N,), or None
        The names of rows; None: their numbers.

    Returns
    -------
    DataFrame or pyarrow.Table
    """
    found = scores > -np.inf
    row, place = np.nonzero(found)
    names = labels[found].tolist()
    columns: dict[str, Any] = {
        "row": row if index is None else np.asarray(index)[row],
        "rank": place + 1,
        "label": names,
    }
    if texts is not None:
        columns["text"] = [texts[name] for name in names]
    columns["score"] = scores[found]
    if kind == "pandas":
        import pandas

        return pandas.DataFrame(columns)
    if kind == "polars":
        import polars

        return polars.DataFrame(columns)
    import pyarrow

    return pyarrow.table(columns)


def index_of(X: Any, kind: str) -> Any:
    """Return the index of a pandas Series or DataFrame where the answers are pandas too; None elsewhere."""
    if kind != "pandas" or type(X).__module__.partition(".")[0] != "pandas":
        return None
    return getattr(X, "index", None)  # an Index has none
