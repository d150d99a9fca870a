"""Queries of Transformer models: sparse features and an embedding of each text."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors import SafetensorError

from ceiba._params import Exactly, Flag, Interval
from ceiba.data.frames import is_table
from ceiba.encoders.load import load_saved
from ceiba.encoders.runtime import choose_device, require_torch
from ceiba.errors import InputError, StorageError
from ceiba.features.matrix import EMBEDDING, FeatureMatrix, as_features
from ceiba.features.store import read_vectorizer, save_vectorizer
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import OBJECT, Fields
from ceiba.models.column_names import check_feature_names
from ceiba.models.query_makers import read_feature_names, text_features, write_feature_names
from ceiba.models.training_texts import as_texts, no_features
from ceiba.retrieval.queries import Queries

_FOLDER = "encoder"


@component("encoder", "queries")
class EncoderQueries:
    """Queries of texts: sparse features, if any, and the embedding beside them.

    Parameters
    ----------
    encoder : Encoder
    n_sparse : int
        Sparse features.
    vectorizer : TfidfVectorizer, fitted transformer or None, default=None
    own_features : bool, default=False
        Whether callers give the sparse features: X is then a pair (texts, features).
    feature_names : ndarray of str, or None, default=None
    chunks : bool, default=False
        Whether long texts are read in chunks.
    owner : str, default="the model"
        The class of the estimator, which messages name.
    """

    kind: ClassVar[str]
    reads_texts = True

    def __init__(
        self,
        encoder: Any,
        n_sparse: int,
        *,
        vectorizer: Any = None,
        own_features: bool = False,
        feature_names: NDArray | None = None,
        chunks: bool = False,
        owner: str = "the model",
    ):
        self.encoder, self.n_sparse, self.vectorizer = encoder, n_sparse, vectorizer
        self.own_features, self.feature_names, self.chunks = own_features, feature_names, chunks
        self._owner = owner
        self._features = None if vectorizer is None else text_features(vectorizer, n_sparse, owner)

    @property
    def dim(self) -> int:
        """The embedding's width."""
        return self.encoder.dim

    @property
    def dims(self) -> Mapping[str, int]:
        """The embedding's width, by the name of its block."""
        return {EMBEDDING: self.encoder.dim}

    @property
    def encoder_devices(self) -> tuple[str, ...]:
        """The kind of device that the encoder computes on."""
        return (self.encoder.device.type,)

    @property
    def n_features(self) -> int:
        """Sparse features and embedding."""
        return self.n_sparse + self.encoder.dim

    def queries(self, X: Any, n_threads: int = 1) -> Queries:
        """Return features and embeddings of texts."""
        own, given = self.own_features, None
        if isinstance(X, tuple) and len(X) == 2 and not isinstance(X[1], str):
            X, given = X
        if own != (given is not None):
            expected = "a pair (texts, X): it was fitted on features" if own else "texts, without features"
            raise InputError(f"The model takes {expected}{' beside the texts' if own else ''}.")
        texts = as_texts(X)
        if not texts:
            none = as_features(sp.csr_array((0, self.n_sparse)), allow_empty=True)
            return Queries(none.with_block(EMBEDDING, np.empty((0, self.encoder.dim), np.float32)), texts)
        sparse = self._sparse(texts, given)
        return Queries(sparse.with_block(EMBEDDING, self.embed(texts, n_threads=n_threads)), texts)

    def _sparse(self, texts: list[str], given: Any) -> FeatureMatrix:
        if given is not None:
            if is_table(given) or self.feature_names is not None:
                check_feature_names(given, self.feature_names, self._owner)
            sparse = as_features(given, self.n_sparse, owner=self._owner)
            if sparse.n_rows != len(texts):
                raise InputError(f"X has {sparse.n_rows} rows of features, but {len(texts)} texts.")
            return sparse
        return no_features(len(texts)) if self._features is None else self._features(texts)

    def embed(
        self, texts: list[str], *, progress: Callable[[int], Any] | None = None, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Embed texts that were checked. Nothing of process or encoder changes, so threads may do so at once."""
        return embed_texts(self.encoder, texts, chunks=self.chunks, progress=progress, n_threads=n_threads)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the encoder, the vectorizer and the names of features."""
        save_encoder(self.encoder, writer.path(_FOLDER))
        write_feature_names(self.feature_names, writer)
        return {
            "n_sparse": self.n_sparse,
            "vectorizer": None if self.vectorizer is None else save_vectorizer(self.vectorizer, writer.path()),
            "own_features": self.own_features,
            "feature_names": self.feature_names is not None,
            "chunks": self.chunks,
        }

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> EncoderQueries:
        """Read what `save` wrote."""
        n_sparse = fields.get("n_sparse", Interval(int, 0, 2**31 - 1))
        described = fields.get("vectorizer", OBJECT, Exactly(None))
        return cls(
            load_encoder_of_model(files, context),
            n_sparse,
            vectorizer=None if described is None else read_vectorizer(described, files, trusted=context.trusted),
            own_features=bool(fields.get("own_features", Flag())),
            feature_names=read_feature_names(files, n_sparse) if fields.get("feature_names", Flag()) else None,
            chunks=bool(fields.get("chunks", Flag())),
            owner=context.owner,
        )


def embed_texts(
    encoder: Any,
    texts: list[str],
    *,
    chunks: bool = False,
    progress: Callable[[int], Any] | None = None,
    n_threads: int = 1,
) -> NDArray[np.float32]:
    """Embed texts that were checked; with `chunks` long ones are read in chunks."""
    if not chunks:
        return encoder.embed(encoder.tokenize(texts), progress=progress, n_threads=n_threads)
    parts = encoder.tokenize_chunks(texts)
    first = encoder.embed(parts.first, progress=progress, n_threads=n_threads)
    return encoder.embed_chunks(parts, first, n_threads=n_threads)


def load_encoder_of_model(files: FolderFiles, context: LoadContext, folder: str = _FOLDER) -> Any:
    """Load an encoder of a saved model."""
    require_torch(f"{files.path()}: a model with an encoder")
    encoder = load_saved(files.path(folder), device=_usable_device(context.device), precision=context.precision)
    files.check_names()  # the encoder's libraries read by name
    return encoder


def _usable_device(device: str) -> str:
    """Return the device of a parameter, "auto" with a warning where this machine has none of that name."""
    try:
        choose_device(device)
    except InputError:
        warnings.warn(
            f"device={device!r} is not on this machine; the encoder was loaded with device='auto'.",
            RuntimeWarning,
            stacklevel=8,
        )
        return "auto"
    return device


def save_encoder(encoder: Any, folder: Path) -> None:
    """Write an encoder; StorageError where its libraries cannot."""
    try:
        encoder.save(folder)
    except SafetensorError as error:  # a full disk, in the words of a library
        raise StorageError(f"The encoder cannot be written to {folder}: {error}") from error
    except Exception as error:
        if type(error) is not Exception:  # tokenizers raises this very class
            raise
        raise StorageError(f"The tokenizer cannot be written to {folder}: {error}") from error
