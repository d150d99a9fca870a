"""Models and rows for the commands that predict: a saved model, and a file's rows in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ceiba._shorten import one_line
from ceiba.errors import ClusterError, InputError, RowError

ROWS_AT_ONCE = 16_384


def open_model(folder: Path, threads: int | None = None) -> Any:
    """Load a model; `threads` takes the place of its own n_jobs, which was for the machine it was trained on."""
    from ceiba import load

    return load(folder).set_params(n_jobs=threads)


def open_rows(path: Path, model: Any, *, labels: bool, given: dict[str, Any], progress: Any) -> Any:
    """Read a file for a model: with texts where the model was trained on texts, else with its number of features."""
    from ceiba.data import read

    dataset: Any = read(path, split="test", labels=labels, progress=progress, **given)
    if dataset.format == "svmlight":
        dataset.X = _widened(dataset, model.n_features_in_)
    fits = model.vectorizer_ is not None and dataset.texts is None and dataset.X.shape[1] == model.n_features_in_
    if dataset.texts is None and model.reads_texts and not fits:
        raise InputError(f"{dataset.path} holds features, but the model was trained on texts.")
    if dataset.texts is not None and not model.reads_texts:
        raise InputError(f"{dataset.path} holds texts, but the model was trained on features.")
    return dataset


def _widened(dataset: Any, n_features: int) -> Any:
    """Return X with the width of a model: an SVMlight file does not say its own."""
    from scipy.sparse import csr_array

    X = dataset.X
    if X.shape[1] > n_features:
        at = int((X.indices >= n_features).argmax())
        where = dataset.where(int(X.indptr.searchsorted(at, side="right")) - 1)
        raise InputError(
            f"{dataset.path}, {where}: there is a feature {X.indices[at] + 1}, but the model has {n_features} features."
        )
    return csr_array((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features))


def batches(dataset: Any, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[Any]:
    """Yield the rows of a data set, a bounded number at a time: lists of texts, or slices of X."""
    if dataset.texts is None:
        for first in range(0, dataset.n, rows_at_once):
            yield dataset.X[first : first + rows_at_once]
        return
    for texts in dataset.texts.batches():
        for first in range(0, len(texts), ROWS_AT_ONCE):
            yield texts[first : first + ROWS_AT_ONCE]


def n_rows(block: Any) -> int:
    """Return the rows of a block."""
    return len(block) if isinstance(block, list) else block.shape[0]


@contextmanager
def finding_row(source: str | Path, rows: Any, first: int, answer: Callable[[Any], Any]) -> Iterator[None]:
    """Turn the failure of a block into a RowError for its first row at fault.

    An error that rows without content raise too is no row's fault, and stays as it is.

    Parameters
    ----------
    source : str or Path
        The file, for the message.
    rows : list of str, or sparse matrix
        The block.
    first : int
        The number of its first row in the file, from 0.
    answer : callable
        What failed, for some of the rows.
    """
    try:
        yield
    except (ClusterError, MemoryError):
        raise
    except Exception:
        if _failure(answer, [""] if isinstance(rows, list) else rows[:1] * 0) is not None:
            raise
        begin, end = 0, n_rows(rows)
        while end - begin > 1:
            middle = (begin + end) // 2
            begin, end = (begin, middle) if _failure(answer, rows[begin:middle]) is not None else (middle, end)
        fault = _failure(answer, rows[begin:end])
        if fault is None:
            raise
        reason = fault.reason if isinstance(fault, RowError) else one_line(fault)
        message = f"{source}, row {first + begin + 1}: {reason}"
        raise RowError(message, argument="X", row=first + begin, reason=reason) from fault


def _failure(answer: Callable[[Any], Any], rows: Any) -> Exception | None:
    try:
        answer(rows)
    except Exception as error:
        return error
    return None


@contextmanager
def naming_place(dataset: Any) -> Iterator[None]:
    """Let an error of a data set's row name the file, and the line or the row in it."""
    try:
        yield
    except RowError as error:
        if error.argument != "X":
            raise
        raise InputError(f"{dataset.path}, {dataset.where(error.row)}: {error.reason}") from error


def label_texts(model: Any) -> dict[Any, str] | None:
    """Return the text of each label, None where the model was trained without."""
    if model.label_texts_ is None:
        return None
    return dict(zip(model.classes_.tolist(), model.label_texts_.tolist(), strict=True))


def label_lists(known: Any, allowed: Path | None, denied: Path | None) -> dict[str, list[Any]]:
    """Read the labels of --allowed and --denied, by the names of the arguments that take them."""
    given = {"allowed": allowed, "denied": denied}
    return {name: label_list(path, known, f"--{name}") for name, path in given.items() if path is not None}


def check_some_label_left(known: Any, *, allowed: list[Any] | None = None, denied: list[Any] | None = None) -> None:
    """Raise InputError when the filters of a model leave none of its labels."""
    if denied is not None and set(known.tolist() if allowed is None else allowed) <= set(denied):
        raise InputError("--denied names every label that is allowed, so that there would be no answer.")


def label_list(path: Path, known: Any, option: str) -> list[Any]:
    """Read labels from a file, one a line.

    Parameters
    ----------
    path : Path
    known : ndarray
        The labels of the model.
    option : str
        For messages.

    Raises
    ------
    InputError
        When the file cannot be read, or a line is none of these labels.
    """
    from ceiba.data.files import decode_lines

    try:
        lines = decode_lines(path, 1, path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror}.") from None
    labels: list[Any] = []
    numbers, every = known.dtype.kind == "i", set(known.tolist())
    for number, line in enumerate(lines, start=1):
        label = line.strip()
        if not label:
            continue
        try:
            labels.append(int(label) if numbers else label)
        except ValueError:
            raise InputError(
                f"{option} {path}, line {number}: the model's labels are numbers, not {label!r}."
            ) from None
        if labels[-1] not in every:
            raise InputError(f"{option} {path}, line {number}: the model has no label {label!r}; remove the line.")
    if option == "--allowed" and not labels:
        raise InputError(f"{option} {path}: the file names no label, so that there would be no answer.")
    return labels


def ranked(
    model: Any, rows: Any, k: int, beam_size: int | None = None, *, allowed: Any = None, denied: Any = None
) -> Iterator[tuple[list[Any], list[float]]]:
    """Yield labels and scores of each row, best first, without the empty places of short rows."""
    found = model.predict_topk(rows, min(k, len(model.classes_)), beam_size=beam_size, allowed=allowed, denied=denied)
    labels, scores = found
    # As words first: a float32 then keeps its few digits in place of the many of the float64 nearest to it.
    for names, words in zip(labels.tolist(), scores.astype("U").tolist(), strict=True):
        kept = sum(name is not None for name in names)
        yield names[:kept], [float(word) for word in words[:kept]]
