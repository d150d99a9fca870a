"""A data folder's texts, and its TF-IDF features as every system gets them."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

NAMES = ("X_trn", "X_tst", "Y_trn", "Y_tst")
LABELS = "X_lbl"  # features of the labels' texts, where there are any
FEATURES = {"min_df": 2, "max_features": 300_000, "sublinear_tf": True}  # words, all of them, float32
ICD = "icd"  # in place of a folder: the demo's texts
ICD_FEATURES = {"word_ngrams": (1, 2), "char_ngrams": (3, 5)}


def read(folder: Path, limit: int = 0, test_limit: int | None = None) -> tuple[list[dict], list[dict]]:
    """Return the rows of the training and the test file, the first `limit` of each if asked.

    Of the test file these are `limit // 9` where `test_limit` does not say otherwise.
    """

    def rows(name: str, most: int) -> list[dict]:
        with gzip.open(folder / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in islice(file, most if limit else None)]

    return rows("train.jsonl.gz", limit), rows("test.jsonl.gz", limit // 9 if test_limit is None else test_limit)


def label_texts(folder: Path) -> dict[str, str] | None:
    """Return the texts of a data folder's labels, where it has any."""
    path = folder / "labels.jsonl.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["label"]: row["text"] for row in rows}


def rows_of(folder: Path, limit: int, validation: bool) -> tuple[list[dict], list[dict]]:
    """Return rows to train on and rows to measure on: the test file's, or a tenth of the training file's.

    Of the demo's texts, training keeps the descriptions, and three in ten of its inclusion terms are held out.
    """
    rng = np.random.default_rng(0)
    if str(folder) == ICD:
        from ceiba.data.icd import load_icd10cm

        coding = load_icd10cm()
        train, test = (
            [{"text": text, "labels": own} for text, own in zip(texts, labels, strict=True)]
            for texts, labels in ((coding.train_texts, coding.train_labels), (coding.test_texts, coding.test_labels))
        )
        n_kept, share = len(coding.descriptions), 0.3
    else:
        train, test = read(folder, limit)
        n_kept, share = 0, 0.1
    if not validation:
        return train, test
    held = rng.random(len(train)) < share
    held[:n_kept] = False
    return [row for row, out in zip(train, held, strict=True) if not out], [
        row for row, out in zip(train, held, strict=True) if out
    ]


def matrices(
    folder: Path, limit: int, validation: bool, threads: int, features: dict[str, Any] | None = None
) -> tuple[Any, Any, Any, Any, Any]:
    """Return X, X to measure on, Y, Y to measure on, and the features of the labels' texts where there are any."""
    from ceiba import TfidfVectorizer

    if features is None:
        features = ICD_FEATURES if str(folder) == ICD else FEATURES
    return _matrices(folder, *rows_of(folder, limit, validation), TfidfVectorizer(n_jobs=threads, **features))


def write_features(folder: Path, to: Path, limit: int = 0) -> None:
    """Make the features and labels of a data folder with scikit-learn's vectorizer, once for all systems."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", dtype=np.float32, **FEATURES)
    write(to, *_matrices(folder, *read(folder, limit), vectorizer))


def _matrices(folder: Path, train: list[dict], test: list[dict], vectorizer: Any) -> tuple[Any, Any, Any, Any, Any]:
    X = vectorizer.fit_transform([row["text"] for row in train])
    X_test = vectorizer.transform([row["text"] for row in test])
    names = sorted({label for row in train for label in row["labels"]})
    column = {name: i for i, name in enumerate(names)}
    texts = label_texts(folder)
    of_labels = None if texts is None else vectorizer.transform([texts[name] for name in names])
    return X, X_test, indicator(train, column), indicator(test, column), of_labels


def indicator(rows: list[dict], column: dict[str, int]) -> sp.csr_matrix:
    """Return the labels of rows; labels that training does not know are left out."""
    lists = [sorted({column[label] for label in row["labels"] if label in column}) for row in rows]
    ptr = np.concatenate([[0], np.cumsum([len(labels) for labels in lists])])
    ids = np.array([label for labels in lists for label in labels], np.int32)
    return sp.csr_matrix((np.ones(len(ids), np.float32), ids, ptr), shape=(len(rows), len(column)))


def write(
    to: Path, X: sp.csr_matrix, X_test: sp.csr_matrix, Y: sp.csr_matrix, Y_test: sp.csr_matrix, of_labels: Any = None
) -> None:
    """Write matrices where a system's process reads them."""
    to.mkdir(parents=True, exist_ok=True)
    matrices = dict(zip(NAMES, (X, X_test, Y, Y_test), strict=True))
    if of_labels is not None:
        matrices[LABELS] = of_labels
    for name, matrix in matrices.items():
        matrix.sort_indices()
        sp.save_npz(to / f"{name}.npz", matrix, compressed=False)
