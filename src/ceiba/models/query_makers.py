"""From what callers give, texts or features, to the queries that candidate generators take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import clone

from ceiba._params import Flag, Interval
from ceiba.data.frames import is_table
from ceiba.errors import InputError, ModelFormatError
from ceiba.features.feature_names import namer
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.features.store import read_vectorizer, save_vectorizer
from ceiba.features.texts import checked, text_rows
from ceiba.features.tfidf import TfidfVectorizer
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import Component, FolderWriter, LoadContext, component
from ceiba.io.sealed import OBJECT, Fields
from ceiba.models.column_names import check_feature_names
from ceiba.retrieval.queries import Queries

_NAMES_FILE = "feature_names.json"
_SIZE = Interval(int, 1, 2**31 - 1)
_NO_DIMS: Mapping[str, int] = MappingProxyType({})


class QueryMaker(Component, Protocol):
    """Makes queries of what callers give. It does not change, so any number of threads may use it.

    Attributes
    ----------
    n_features : int
        Features of a query, dense ones included.
    dim : int
        Those of embeddings among them; 0 where there are none.
    dims : mapping of str to int
        The width of each block of embeddings, in their order.
    encoder_devices : tuple of str
        The kind of device that each encoder computes on, such as "cpu".
    reads_texts : bool
        Whether callers give texts.
    vectorizer : transformer or None
        What makes sparse features of texts.
    feature_names : ndarray of str, or None
        The columns of the data frame that ``fit`` was given.
    """

    @property
    def n_features(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def dims(self) -> Mapping[str, int]: ...

    @property
    def encoder_devices(self) -> tuple[str, ...]: ...

    @property
    def reads_texts(self) -> bool: ...

    @property
    def vectorizer(self) -> Any: ...

    @property
    def feature_names(self) -> NDArray | None: ...

    def queries(self, X: Any, n_threads: int = 1) -> Queries:
        """Return the queries; InputError or InputTypeError where X is not what the model was fitted on."""
        ...


@component("features", "queries")
class FeatureQueries:
    """Queries of features that callers give.

    Parameters
    ----------
    n_features : int
    feature_names : ndarray of str, or None, default=None
    owner : str, default="the model"
        The class of the estimator, which messages name.
    """

    kind: ClassVar[str]
    dim = 0
    encoder_devices = ()
    dims = _NO_DIMS
    reads_texts = False
    vectorizer = None

    def __init__(self, n_features: int, feature_names: NDArray | None = None, *, owner: str = "the model"):
        self.n_features, self.feature_names, self._owner = n_features, feature_names, owner

    def queries(self, X: Any, n_threads: int = 1) -> Queries:
        """Return the rows as they are, once they are checked."""
        sparse = sp.issparse(X)  # asked once: for a single row every look at X counts
        if not sparse and text_rows(X) is not None:
            raise InputError("X holds texts, but the model was fitted on features.")
        if self.feature_names is not None or (not sparse and is_table(X)):
            check_feature_names(X, self.feature_names, self._owner)
        return Queries(as_features(X, self.n_features, allow_empty=True, owner=self._owner))

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the names of features."""
        write_feature_names(self.feature_names, writer)
        return {
            "n_features": self.n_features,
            "feature_names": self.feature_names is not None,
        }

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> FeatureQueries:
        """Read what `save` wrote."""
        n_features = fields.get("n_features", _SIZE)
        names = read_feature_names(files, n_features) if fields.get("feature_names", Flag()) else None
        return cls(n_features, names, owner=context.owner)


@component("vectorizer", "queries")
class VectorizerQueries:
    """Queries of texts, by a vectorizer. Features of its width are taken too.

    Parameters
    ----------
    vectorizer : TfidfVectorizer or fitted transformer
    n_features : int
    owner : str, default="the model"
        The class of the estimator, which messages name.
    """

    kind: ClassVar[str]
    dim = 0
    encoder_devices = ()
    dims = _NO_DIMS
    reads_texts = True
    feature_names = None

    def __init__(self, vectorizer: Any, n_features: int, *, owner: str = "the model"):
        self.vectorizer, self.n_features, self._owner = vectorizer, n_features, owner
        self._features = text_features(vectorizer, n_features, owner)

    def queries(self, X: Any, n_threads: int = 1) -> Queries:
        """Return the features of texts."""
        if sp.issparse(X):  # asked once and first: for a single row every look at X counts
            return Queries(as_features(X, self.n_features, allow_empty=True, owner=self._owner))
        if _is_empty(X):
            return Queries(as_features(sp.csr_array((0, self.n_features)), allow_empty=True))
        texts = text_rows(X)
        if texts is not None:
            return Queries(self._features(texts), texts if isinstance(texts, (list, tuple)) else None)
        if is_table(X):
            check_feature_names(X, None, self._owner)
        return Queries(as_features(X, self.n_features, allow_empty=True, owner=self._owner))

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the vectorizer."""
        described = save_vectorizer(self.vectorizer, writer.path())
        return {"n_features": self.n_features, "vectorizer": described}

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> VectorizerQueries:
        """Read what `save` wrote."""
        vectorizer = read_vectorizer(fields.get("vectorizer", OBJECT), files, trusted=context.trusted)
        return cls(vectorizer, fields.get("n_features", _SIZE), owner=context.owner)


def new_vectorizer(vectorizer: Any, n_jobs: int | None) -> Any:
    """Return an unfitted vectorizer for the value of the parameter `vectorizer`: "tfidf", or one to be cloned."""
    return TfidfVectorizer(n_jobs=n_jobs) if isinstance(vectorizer, str) else clone(vectorizer)


def text_features(vectorizer: Any, n_features: int, owner: str) -> Callable[[Any], FeatureMatrix]:
    """Return the function that makes features of texts: Ceiba's vectorizer has one, others only ``transform``."""
    if isinstance(vectorizer, TfidfVectorizer):
        return vectorizer.features
    return lambda texts: as_features(vectorizer.transform(checked(texts)), n_features, allow_empty=True, owner=owner)


def write_feature_names(names: NDArray | None, writer: FolderWriter) -> None:
    """Write the names of features where there are any."""
    if names is not None:
        writer.json(_NAMES_FILE, [str(name) for name in names])


def read_feature_names(files: FolderFiles, n_features: int) -> NDArray:
    """Read the names of features."""
    names, path = files.json(_NAMES_FILE), files.path(_NAMES_FILE)
    return checked_names(names, n_features, f"{path} does not have {n_features} names.")


def checked_names(names: Any, n_features: int, message: str) -> NDArray:
    """Return a JSON list of names as an array; ModelFormatError with a message where it is none."""
    if not isinstance(names, list) or len(names) != n_features or not all(type(name) is str for name in names):
        raise ModelFormatError(message)
    return np.array(names, dtype=object)


def name_of_feature(queries: QueryMaker) -> Callable[[int], Any]:
    """Return a function that names a feature by its number; what comes after the named ones is the embedding."""
    names = queries.feature_names
    name = namer(queries.vectorizer) if names is None else names.__getitem__
    n_named = queries.n_features - queries.dim
    if name is None:
        return lambda feature: feature
    return lambda feature: name(feature) if feature < n_named else f"{EMBEDDING}[{feature - n_named}]"


def _is_empty(X: Any) -> bool:
    """Return whether X is a list, an array or a column without rows."""
    if isinstance(X, (list, tuple)):
        return not X
    if not isinstance(X, Sized) or is_table(X):
        return False
    return len(X) == 0 and getattr(X, "ndim", 1) == 1
