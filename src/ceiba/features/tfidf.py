"""TF-IDF of words and of character n-grams, side by side in one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ceiba._estimator import NamedParameters
from ceiba._native import core
from ceiba._params import (
    COUNT,
    N_JOBS,
    POSITIVE,
    SHARE,
    Exactly,
    Flag,
    Interval,
    JsonList,
    Options,
    available_threads,
    setting,
)
from ceiba._settings import check_parameters, parameters
from ceiba.errors import InputError
from ceiba.features.chars import NormalForm, char_tables, normalizer
from ceiba.features.matrix import FeatureMatrix
from ceiba.features.texts import are_plain, text_batches
from ceiba.features.vocabulary import for_core

NgramRange = tuple[int, int]

_SIZES = JsonList(COUNT, length=2)
_KINDS = tuple(core.NGRAM_KINDS)  # in the order of their numbers
_FEW_TEXTS = 16
_STRINGS = {str}

# What a vectorizer was before it had these parameters. One that was saved without them keeps its words.
OLDER_DEFAULTS: dict[str, Any] = {"normalization": "auto", "token_pattern": "auto", "sklearn_compatible": True}


@dataclass(frozen=True)
class TfidfSettings:
    """What n-grams are made of texts, and what they weigh."""

    word_ngrams: NgramRange | None = setting(
        (1, 1),
        _SIZES,
        Exactly(None),
        doc="The fewest and the most words of a word n-gram; (1, 2) is words and pairs of neighbours. None: no words.",
    )
    char_ngrams: NgramRange | None = setting(
        None,
        _SIZES,
        Exactly(None),
        doc="The fewest and the most characters of a character n-gram, taken inside each word (what stands between "
        "white space) with a space before and after it; (2, 5) is a good choice. None: no character n-grams.",
    )
    char_weight: float = setting(
        0.5,
        POSITIVE,
        doc="The weight of the character n-grams beside the word n-grams, whose weight is 1. Of no effect unless "
        "both are used.",
    )
    min_df: int | float = setting(
        1,
        COUNT,
        SHARE,
        doc="The fewest texts an n-gram must occur in to become a feature; a float is a share of the texts.",
    )
    max_df: int | float = setting(
        1.0, COUNT, SHARE, doc="The most texts an n-gram may occur in; a float is a share of the texts."
    )
    max_features: int | None = setting(
        None,
        COUNT,
        Exactly(None),
        doc="Keep only this many n-grams of each kind, those that occur most often over all texts. None: all.",
    )
    sublinear_tf: bool = setting(True, Flag(), doc="Use 1 + ln(count) in place of the count.")
    norm: str | None = setting(
        "l2",
        Options("l2", "l1"),
        Exactly(None),
        doc='"l2": words and character n-grams are each brought to Euclidean length 1, weighted, and then the whole '
        'row is brought to length 1. "l1": the same with sums of magnitudes. None: rows keep their lengths; the '
        "weight still applies.",
    )
    lowercase: bool = setting(True, Flag(), doc="Bring texts to lower case first.")
    strip_accents: str | None = setting(
        None,
        Options("unicode", "ascii"),
        Exactly(None),
        doc='Remove accents: "unicode" works on any script, "ascii" also drops what ASCII cannot write.',
    )
    hash_features: int | None = setting(
        None,
        Interval(int, 1, 2**30),
        Exactly(None),
        doc="Give every n-gram the column of its hash, one of this many for each kind in use, in place of a "
        "vocabulary: what is learnt then does not grow with the texts, and n-grams that meet in a column count as "
        "one. `min_df`, `max_df` and `max_features` must be left alone. 2**18 to 2**22 are usual.",
    )
    normalization: NormalForm | Literal["auto"] | None = setting(
        "auto",
        Options("auto", "NFC", "NFKC"),
        Exactly(None),
        doc='Bring texts into a Unicode normal form before and after they are lowered. "NFC": the composed and the '
        'decomposed spelling of "café" are the same word. "NFKC" also unifies what only looks different, such as the '
        'ligatures of PDF files and full-width letters. "auto" is "NFC", and None with `sklearn_compatible`.',
    )
    token_pattern: str = setting(
        "auto",
        Options("auto", "unicode", "sklearn"),
        doc='What a word is. "unicode": combining marks belong to the word that they follow, and so do zero-width '
        'joiners inside a word. "sklearn": the pattern ``\\w+``, which breaks words at every mark. "auto" is '
        '"unicode", and "sklearn" with `sklearn_compatible`.',
    )
    sklearn_compatible: bool = setting(
        False,
        Flag(),
        doc='Make the features equal to those of scikit-learn\'s vectorizer on every text. It decides what "auto" '
        "means; values that you write count more.",
    )
    n_jobs: int | None = setting(
        None,
        *N_JOBS,
        doc="Threads; None and -1 are all processors this process may use, -2 all but one. The features do not "
        "depend on it.",
    )


# No set_output: a sparse matrix does not fit the data frames it offers.
@parameters(TfidfSettings)
class TfidfVectorizer(NamedParameters, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Turn texts into TF-IDF features of words, of character n-grams, or of both.

    A word is a run of Unicode letters, digits and underscores of any length, with their combining marks. The "b" and
    the "12" of "vitamin b 12" count, and the vowel signs of Hindi or Tamil stay in their words. Texts are read once,
    one bounded batch after the other, whatever they come from: a list, a generator, or a column streamed from a file
    larger than memory.

    {parameters}

    Attributes
    ----------
    vocabularies_ : dict of str to mapping
        For each kind in use, "word" and "char", its n-grams in the order of their columns, with the column.
        Word n-grams come first; within a kind the n-grams are in order of code points. Empty dictionaries where
        n-grams are hashed.
    idf_ : ndarray of shape (n_features,), float32
        The inverse document frequency of each column, ln((1 + N) / (1 + df)) + 1.

    See Also
    --------
    sklearn.feature_extraction.text.TfidfVectorizer : One kind of n-gram at a time, with any Python function
        as its parts.

    Notes
    -----
    With one kind of n-gram and `sklearn_compatible`, the features are those of scikit-learn's vectorizer with the same
    options and ``token_pattern=r"\\w+"`` or ``analyzer="char_wb"``. Without it they differ for texts with combining
    marks or decomposed letters only. An empty text, and one of unknown n-grams only, is a row of zeros.

    "NFC" is the default because it joins only what Unicode defines to be the same text. "NFKC" changes more than
    spelling: it turns "Windows™" into the word "windowstm". Both are idempotent.

    Chinese, Japanese, Thai, Lao, Khmer and Myanmar (Burmese) are written without spaces between words, so a "word" is
    a whole phrase. Use character n-grams, ``char_ngrams=(1, 3)``, with ``word_ngrams=None`` where all texts are in such
    scripts. Or give the models a vectorizer with a tokenizer of your own, such as
    ``XRLinear(vectorizer=sklearn.feature_extraction.text.TfidfVectorizer(tokenizer=...))``.

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

    def fit(self, X: Iterable[str], y: Any = None) -> TfidfVectorizer:
        """Learn the n-grams and their document frequencies.

        Parameters
        ----------
        X : iterable of str
            Texts, read once.
        y : object, default=None
            Ignored; pipelines pass it.

        Returns
        -------
        TfidfVectorizer
            The vectorizer itself.
        """
        self._learn(X, keep=False)
        return self

    def fit_transform(self, X: Iterable[str], y: Any = None) -> sp.csr_matrix:
        """Learn the n-grams of texts and return their features, in one pass over the texts.

        Parameters
        ----------
        X : iterable of str of length N
            The texts; a generator will do.
        y : object, default=None
            Ignored; pipelines pass it.

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
        return _to_scipy(*self._learn(X, keep=True), len(self.idf_))

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
        return self.features(X).to_scipy_matrix()

    def features(self, X: Iterable[str]) -> FeatureMatrix:
        """Return what transform returns, in the form that the models take without another look."""
        ready = self._ready_features()
        if type(X) is list and len(X) <= _FEW_TEXTS:
            texts = None
            if set(map(type, X)) == _STRINGS and all(map(str.isascii, X)):  # nothing to prepare
                texts = X
            elif are_plain(X):
                texts = self._prepared(X)
            if texts is not None:
                indptr, indices, data = ready.rows(texts, 1)
                return FeatureMatrix(indptr, indices, data, self.idf_.size)
        n_threads = available_threads(self.n_jobs)
        parts = [ready.rows(self._prepared(texts), n_threads) for texts in text_batches(X)]
        return FeatureMatrix(*_stacked(parts), self.idf_.size)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the n-gram of each column, written ``word__...`` or ``char__...`` where both kinds are in use.

        Parameters
        ----------
        input_features : object, default=None
            Ignored; pipelines pass it.

        Returns
        -------
        ndarray of shape (n_features,) of str objects
            "hash0", "hash1" ... where n-grams are hashed.
        """
        check_is_fitted(self)
        marked = len(self.vocabularies_) > 1
        names = np.empty(self.idf_.size, object)
        if self.hash_features is not None:
            for place, kind in enumerate(self.vocabularies_):
                for i in range(self.hash_features):
                    names[place * self.hash_features + i] = f"{kind}__hash{i}" if marked else f"hash{i}"
            return names
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
        # the native tables are made again when they are needed
        return {name: value for name, value in super().__getstate__().items() if name != "_ready"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(OLDER_DEFAULTS | state)

    def _sizes(self) -> dict[str, NgramRange]:
        sizes = {"word": self.word_ngrams, "char": self.char_ngrams}
        return {kind: (size[0], size[1]) for kind, size in sizes.items() if size is not None}

    @property
    def kinds(self) -> list[str]:
        """The kinds of n-gram in use: "word", "char", or both in this order."""
        return list(self._sizes())

    def restore(self, vocabularies: dict[str, Mapping[str, int]], idf: np.ndarray) -> None:
        """Set what ``fit`` learns, as it was read from a file, and make ready for texts.

        Raises
        ------
        ValueError
            When an n-gram stands twice in a vocabulary.
        """
        self.vocabularies_, self.idf_ = vocabularies, idf
        self.__dict__.pop("_ready", None)
        self._ready_features()

    def check_params(self) -> None:
        """Raise an InputError that names the parameter which cannot be used."""
        owner = type(self).__name__
        check_parameters(self)
        sizes = self._sizes()
        if not sizes:
            raise InputError(f"One of 'word_ngrams' and 'char_ngrams' of {owner} must not be None.")
        if self.hash_features is not None:
            for name, default in (("min_df", 1), ("max_df", 1.0), ("max_features", None)):
                if getattr(self, name) != default:
                    raise InputError(
                        f"The {name!r} parameter of {owner} must be left at {default!r} with 'hash_features', which "
                        f"keeps no list of n-grams to choose from. Got {getattr(self, name)!r} instead."
                    )
        for kind, (shortest, longest) in sizes.items():
            if shortest > longest:
                raise InputError(
                    f"The '{kind}_ngrams' parameter of {owner} must be (fewest, most) with fewest <= most. "
                    f"Got ({shortest}, {longest}) instead."
                )

    def _native_sizes(self) -> list[int]:
        sizes = self._sizes()
        return [*(size for kind in _KINDS for size in sizes.get(kind, (1, 0))), self.hash_features or 0]

    def _normalization(self) -> NormalForm | None:
        if self.normalization == "auto":
            return None if self.sklearn_compatible else "NFC"
        return self.normalization

    def _char_tables(self) -> Any:
        pattern = self.token_pattern
        if pattern == "auto":
            pattern = "sklearn" if self.sklearn_compatible else "unicode"
        return char_tables(self.lowercase, self.strip_accents, self._normalization(), pattern)

    def _prepared(self, texts: list[str]) -> list[str]:
        """Normalise and lower the texts that the core, which sees one character at a time, would get wrong."""
        if len(texts) <= _FEW_TEXTS and all(map(str.isascii, texts)):
            return texts
        rows = self._char_tables().review(texts)
        if rows:
            texts, prepare = list(texts), normalizer(self.lowercase, self._normalization())
            for row in rows:
                texts[row] = prepare(texts[row])
        return texts

    def _ready_features(self) -> Any:
        ready = self.__dict__.get("_ready")
        if ready is None:
            check_is_fitted(self)
            ready = self._ready = core.TextFeatures(
                self._char_tables(),
                self._native_sizes(),
                *(for_core(self.vocabularies_.get(kind, {})) for kind in _KINDS),
                self.idf_,
                self.sublinear_tf,
                core.NORMS[self.norm or "none"],
                self.char_weight,
            )
        return ready

    def _learn(self, X: Iterable[str], keep: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Set vocabularies_ and idf_; if asked, return the rows of the texts as CSR arrays."""
        self.check_params()
        tables, n_threads = self._char_tables(), available_threads(self.n_jobs)
        counter = core.NgramCounter(tables, self._native_sizes(), keep, n_threads)
        n_rows = 0
        for texts in text_batches(X):
            counter.count(self._prepared(texts))
            n_rows += len(texts)
        if n_rows == 0:
            raise InputError("X is empty: there is no text to learn from.")
        counter.finish()
        columns = self._choose(counter, n_rows)
        self.__dict__.pop("_ready", None)
        if not keep:
            return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
        n_words = len(columns[0]) if self.hash_features else len(self.vocabularies_.get("word", ()))
        norm = core.NORMS[self.norm or "none"]
        return counter.rows(*columns, self.idf_, n_words, self.sublinear_tf, norm, self.char_weight)

    def _choose(self, counter: Any, n_rows: int) -> list[np.ndarray]:
        """Choose the features among the n-grams counted; return, per kind, the column of each, -1 where dropped."""
        fewest = self.min_df if isinstance(self.min_df, Integral) else self.min_df * n_rows
        most = self.max_df if isinstance(self.max_df, Integral) else self.max_df * n_rows
        vocabularies: dict[str, Mapping[str, int]] = {}
        columns, df_of_columns = [], [np.zeros(0, np.int64)]
        n_columns = n_found = 0
        for number, kind in enumerate(_KINDS):
            df, total = counter.statistics(number)
            if self.hash_features is not None:
                columns.append(np.arange(n_columns, n_columns + len(df), dtype=np.int32))
                df_of_columns.append(df)
                n_columns += len(df)
                if kind in self._sizes():
                    vocabularies[kind] = {}
                continue
            ids = counter.sorted(number, np.flatnonzero((df >= fewest) & (df <= most)).astype(np.int32))
            if self.max_features is not None and len(ids) > self.max_features:
                # a stable sort, so that ties go to the first in order of code points
                ids = ids[np.sort(np.argsort(-total[ids], kind="stable")[: self.max_features])]
            column_of = np.full(len(df), -1, np.int32)
            column_of[ids] = np.arange(n_columns, n_columns + len(ids))
            columns.append(column_of)
            df_of_columns.append(df[ids])
            if kind in self._sizes():
                numbers = range(n_columns, n_columns + len(ids))
                vocabularies[kind] = dict(zip(counter.ngrams(number, ids), numbers, strict=True))
            n_columns += len(ids)
            n_found += len(df)
        if n_columns == 0:
            raise InputError(
                f"No feature is left of the {n_rows} texts of X: they have {n_found} n-grams, and none "
                f"occurs in as many texts as min_df={self.min_df!r} and max_df={self.max_df!r} ask for."
            )
        self.vocabularies_ = vocabularies
        self.idf_ = (np.log((1 + n_rows) / (1 + np.concatenate(df_of_columns))) + 1).astype(np.float32)
        return columns


def _stacked(parts: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put CSR arrays one under the other."""
    if len(parts) == 1:
        return parts[0][0], parts[0][1], parts[0][2]
    indptr, entries = [np.zeros(1, np.int64)], 0
    for part in parts:
        indptr.append(part[0][1:] + entries)
        entries += len(part[1])
    indices = np.concatenate([np.zeros(0, np.int32), *(part[1] for part in parts)])
    data = np.concatenate([np.zeros(0, np.float32), *(part[2] for part in parts)])
    return np.concatenate(indptr), indices, data


def _to_scipy(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_columns: int) -> sp.csr_matrix:
    return FeatureMatrix(indptr, indices, data, n_columns).to_scipy_matrix()
