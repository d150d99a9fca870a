"""TF-IDF of words and of character n-grams, side by side in one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ceiba._params import Constraint, Exactly, Flag, Interval, JsonList, Options, check_all
from ceiba.errors import InputError
from ceiba.features.counts import NgramCounter, text_batches
from ceiba.features.ngrams import NgramRange, preprocessor

_SIZES = JsonList(Interval(int, 1, None), length=2)


# No set_output: a sparse matrix does not fit the data frames it offers.
class TfidfVectorizer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Turn texts into TF-IDF features of words, of character n-grams, or of both.

    A word is a run of Unicode letters, digits and underscores of any length, so the "b" and the "12" of
    "vitamin b 12" count. Texts are read once, one bounded batch after the other, whatever they come from: a
    list, a generator, or a column streamed from a file larger than memory.

    Parameters
    ----------
    word_ngrams : (int, int) or None, default=(1, 1)
        The fewest and the most words of a word n-gram; (1, 2) is words and pairs of neighbours. None: no
        words.
    char_ngrams : (int, int) or None, default=None
        The fewest and the most characters of a character n-gram, taken inside each word (what stands between
        white space) with a space before and after it; (2, 5) is a good choice. None: no character n-grams.
    char_weight : float, default=0.5
        The weight of the character n-grams beside the word n-grams, whose weight is 1. Of no effect unless
        both are used.
    min_df : int or float, default=1
        The fewest texts an n-gram must occur in to become a feature; a float is a share of the texts.
    max_df : int or float, default=1.0
        The most texts an n-gram may occur in; a float is a share of the texts.
    max_features : int or None, default=None
        Keep only this many n-grams of each kind, those that occur most often over all texts. None: all.
    sublinear_tf : bool, default=True
        Use 1 + ln(count) in place of the count.
    norm : {"l2", None}, default="l2"
        "l2": words and character n-grams are each brought to Euclidean length 1, weighted, and then the whole
        row is brought to length 1. None: rows keep their lengths; the weight still applies.
    lowercase : bool, default=True
        Bring texts to lower case first.
    strip_accents : {"unicode", "ascii", None}, default=None
        Remove accents: "unicode" works on any script, "ascii" also drops what ASCII cannot write.

    Attributes
    ----------
    vocabularies_ : dict of str to dict
        For each kind in use, "word" and "char", its n-grams in the order of their columns, with the column.
        Word n-grams come first; within a kind the n-grams are in order of code points.
    idf_ : ndarray of shape (n_features,), float32
        The inverse document frequency of each column, ln((1 + N) / (1 + df)) + 1.

    See Also
    --------
    sklearn.feature_extraction.text.TfidfVectorizer : One kind of n-gram at a time, with any Python function
        as its parts.

    Notes
    -----
    With one kind of n-gram the features are those of scikit-learn's vectorizer with the same options and
    ``token_pattern=r"\\w+"`` or ``analyzer="char_wb"``. An empty text, and one of unknown n-grams only, is a
    row of zeros.

    Examples
    --------
    >>> from ceiba import TfidfVectorizer
    >>> vectorizer = TfidfVectorizer()
    >>> X = vectorizer.fit_transform(["acute pain", "chronic pain", "pain"])
    >>> X.shape
    (3, 3)
    >>> vectorizer.get_feature_names_out().tolist()
    ['acute', 'chronic', 'pain']

    Words, pairs of words and pieces of words, which also match words never seen in training:

    >>> both = TfidfVectorizer(word_ngrams=(1, 2), char_ngrams=(3, 4), char_weight=0.3)
    >>> both.fit(["acute pain", "chronic pain"]).transform(["painful"]).nnz
    5
    """

    _constraints: ClassVar[dict[str, list[Constraint]]] = {
        "word_ngrams": [_SIZES, Exactly(None)],
        "char_ngrams": [_SIZES, Exactly(None)],
        "char_weight": [Interval(float, 0, None, closed="neither")],
        "min_df": [Interval(int, 1, None), Interval(float, 0, 1)],
        "max_df": [Interval(int, 1, None), Interval(float, 0, 1)],
        "max_features": [Interval(int, 1, None), Exactly(None)],
        "sublinear_tf": [Flag()],
        "norm": [Options("l2"), Exactly(None)],
        "lowercase": [Flag()],
        "strip_accents": [Options("unicode", "ascii"), Exactly(None)],
    }

    def __init__(
        self,
        *,
        word_ngrams: NgramRange | None = (1, 1),
        char_ngrams: NgramRange | None = None,
        char_weight: float = 0.5,
        min_df: int | float = 1,
        max_df: int | float = 1.0,
        max_features: int | None = None,
        sublinear_tf: bool = True,
        norm: str | None = "l2",
        lowercase: bool = True,
        strip_accents: str | None = None,
    ):
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.char_weight = char_weight
        self.min_df = min_df
        self.max_df = max_df
        self.max_features = max_features
        self.sublinear_tf = sublinear_tf
        self.norm = norm
        self.lowercase = lowercase
        self.strip_accents = strip_accents

    def fit(self, X: Iterable[str], y: Any = None) -> TfidfVectorizer:
        """Learn the n-grams and their document frequencies; see fit_transform."""
        self._learn(X, keep=False)
        return self

    def fit_transform(self, X: Iterable[str], y: Any = None) -> sp.csr_matrix:
        """Learn the n-grams of texts and return their features, in one pass over the texts.

        Parameters
        ----------
        X : iterable of str of length N
            The texts; a generator will do.
        y : ignored

        Returns
        -------
        csr_matrix of shape (N, n_features), float32
            Column indices are sorted within each row.

        Raises
        ------
        InputTypeError
            When X is a single str, or a row of it is not a str.
        InputError
            When a parameter is out of range, X is empty, or no n-gram is left to become a feature.
        """
        return self._features(self._learn(X, keep=True))

    def transform(self, X: Iterable[str]) -> sp.csr_matrix:
        """Return the features of texts.

        Parameters
        ----------
        X : iterable of str of length N
            The texts; a generator will do.

        Returns
        -------
        csr_matrix of shape (N, n_features), float32
            Column indices are sorted within each row. A row does not depend on the rows beside it.

        Raises
        ------
        InputTypeError
            When X is a single str, or a row of it is not a str.
        """
        counter = self._counter()
        return self._features([counter.count(texts) for texts in text_batches(X)])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the n-gram of each column, written "word__..." or "char__..." where both kinds are in use.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_features,) of str objects
        """
        check_is_fitted(self)
        marked = len(self.vocabularies_) > 1
        names = np.empty(self.idf_.size, object)
        for kind, vocabulary in self.vocabularies_.items():
            for ngram, column in vocabulary.items():
                names[column] = f"{kind}__{ngram}" if marked else ngram
        return names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # The counter holds a cache and functions, neither of which is part of what was learnt.
        return {name: value for name, value in super().__getstate__().items() if name != "_ready"}

    def _sizes(self) -> dict[str, NgramRange]:
        sizes = {"word": self.word_ngrams, "char": self.char_ngrams}
        return {kind: (size[0], size[1]) for kind, size in sizes.items() if size is not None}

    def _check_params(self) -> None:
        owner = type(self).__name__
        check_all(self.get_params(deep=False), self._constraints, owner)
        sizes = self._sizes()
        if not sizes:
            raise InputError(f"One of 'word_ngrams' and 'char_ngrams' of {owner} must not be None.")
        for kind, (shortest, longest) in sizes.items():
            if shortest > longest:
                raise InputError(
                    f"The '{kind}_ngrams' parameter of {owner} must be (fewest, most) with fewest <= most. "
                    f"Got ({shortest}, {longest}) instead."
                )

    def _counter(self) -> NgramCounter:
        counter = self.__dict__.get("_ready")
        if counter is None:
            check_is_fitted(self)
            preprocess = preprocessor(self.lowercase, self.strip_accents)
            counter = self._ready = NgramCounter(preprocess, self._sizes(), self.vocabularies_)
        return counter

    def _learn(self, X: Iterable[str], keep: bool) -> list[sp.csr_matrix]:
        """Set vocabularies_ and idf_; if asked, return each batch's counts of the n-grams chosen."""
        self._check_params()
        counter = NgramCounter(preprocessor(self.lowercase, self.strip_accents), self._sizes())
        n_rows = 0
        # Document frequency and total count of each n-gram so far; grown as new n-grams turn up.
        df, total = np.zeros(0, np.int64), np.zeros(0, np.float64)
        batches = []
        for texts in text_batches(X):
            counts = counter.count(texts)
            df, total = _grown(df, counter.n_ids), _grown(total, counter.n_ids)
            np.add.at(df, counts.indices, 1)
            np.add.at(total, counts.indices, counts.data)
            n_rows += len(texts)
            if keep:
                batches.append(counts)
        if n_rows == 0:
            raise InputError("X is empty: there is no text to learn from.")
        column_of = self._choose(counter.vocabularies, df[: counter.n_ids], total, n_rows)
        self.__dict__.pop("_ready", None)
        for i, counts in enumerate(batches):
            batches[i] = _renumbered(counts, column_of, self.idf_.size)
        return batches

    def _choose(
        self, found: Mapping[str, dict[str, int]], df: np.ndarray, total: np.ndarray, n_rows: int
    ) -> np.ndarray:
        """Choose the features among the n-grams found; return the column of each id, -1 where dropped."""
        fewest = self.min_df if isinstance(self.min_df, Integral) else self.min_df * n_rows
        most = self.max_df if isinstance(self.max_df, Integral) else self.max_df * n_rows
        column_of = np.full(df.size, -1, np.int32)
        vocabularies: dict[str, dict[str, int]] = {}
        n_columns = 0
        for kind, vocabulary in found.items():
            ngrams = sorted(ngram for ngram, id_ in vocabulary.items() if fewest <= df[id_] <= most)
            ids = np.fromiter(map(vocabulary.__getitem__, ngrams), np.int64, len(ngrams))
            if self.max_features is not None and len(ngrams) > self.max_features:
                # A stable sort, so that ties go to the first in order of code points.
                best = np.sort(np.argsort(-total[ids], kind="stable")[: self.max_features])
                ngrams, ids = [ngrams[i] for i in best], ids[best]
            column_of[ids] = np.arange(n_columns, n_columns + len(ngrams))
            vocabularies[kind] = dict(zip(ngrams, range(n_columns, n_columns + len(ngrams)), strict=True))
            n_columns += len(ngrams)
        if n_columns == 0:
            raise InputError(
                f"No feature is left of the {n_rows} texts of X: they have {df.size} n-grams, and none "
                f"occurs in as many texts as min_df={self.min_df!r} and max_df={self.max_df!r} ask for."
            )
        kept = column_of >= 0
        df_of_columns = np.empty(n_columns)
        df_of_columns[column_of[kept]] = df[kept]
        self.vocabularies_ = vocabularies
        self.idf_ = (np.log((1 + n_rows) / (1 + df_of_columns)) + 1).astype(np.float32)
        return column_of

    def _features(self, batches: list[sp.csr_matrix]) -> sp.csr_matrix:
        """Turn the counts of all batches into one matrix of features; the list is emptied."""
        if len(batches) == 1:
            X = batches.pop()
            X.data = self._weigh(X)
            return X
        # One array for all rows, filled while the counts are let go, so that X is not held twice.
        n_rows, n_stored = sum(counts.shape[0] for counts in batches), sum(counts.nnz for counts in batches)
        data, indices = np.empty(n_stored, np.float32), np.empty(n_stored, np.int32)
        indptr: np.ndarray = np.zeros(n_rows + 1, np.int32 if n_stored < 2**31 else np.int64)
        row = stored = 0
        batches.reverse()
        while batches:
            counts = batches.pop()
            here = slice(stored, stored + counts.nnz)
            data[here], indices[here] = self._weigh(counts), counts.indices
            indptr[row + 1 : row + 1 + counts.shape[0]] = counts.indptr[1:].astype(indptr.dtype) + stored
            row, stored = row + counts.shape[0], here.stop
        return sp.csr_matrix((data, indices, indptr), shape=(n_rows, self.idf_.size))

    def _weigh(self, counts: sp.csr_matrix) -> np.ndarray:
        """Return the features for the counts of some rows; a row's values do not depend on the other rows."""
        values = (1 + np.log(counts.data) if self.sublinear_tf else counts.data) * self.idf_[counts.indices]
        n_rows = counts.shape[0]
        part = np.repeat(np.arange(n_rows), np.diff(counts.indptr))
        weights = np.ones(1)
        if len(self.vocabularies_) > 1:
            weights = np.array([1.0, self.char_weight])
            part = 2 * part + (counts.indices >= len(self.vocabularies_["word"]))
        scale = np.tile(weights, n_rows)
        if self.norm == "l2":
            squares = np.bincount(part, np.square(values, dtype=np.float64), minlength=scale.size)
            row_lengths = np.sqrt(np.square(scale * (squares > 0)).reshape(n_rows, -1).sum(axis=1))
            with np.errstate(divide="ignore", invalid="ignore"):
                scale = scale / np.sqrt(squares) / np.repeat(row_lengths, weights.size)
        return (values * scale[part]).astype(np.float32)


def _grown(values: np.ndarray, size: int) -> np.ndarray:
    """Return the values with room for at least ``size``, zeros after them; doubling keeps the copies few."""
    if size <= values.size:
        return values
    larger = np.zeros(max(size, 2 * values.size), values.dtype)
    larger[: values.size] = values
    return larger


def _renumbered(counts: sp.csr_matrix, column_of: np.ndarray, width: int) -> sp.csr_matrix:
    """Return the counts with their final columns, in order, without those of column -1."""
    columns = column_of[counts.indices]
    keep = columns >= 0
    row_ends = np.concatenate(([0], np.cumsum(keep)))[counts.indptr]
    renumbered = sp.csr_matrix((counts.data[keep], columns[keep], row_ends), shape=(counts.shape[0], width))
    renumbered.sort_indices()
    return renumbered
