"""Queries of hybrid models with fine-tuned encoders: sparse features and an embedding by each encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ceiba._params import Flag, Interval
from ceiba.errors import ModelFormatError
from ceiba.features.matrix import FeatureMatrix, as_features
from ceiba.features.store import read_vectorizer, save_vectorizer
from ceiba.io.reading import FolderFiles
from ceiba.io.registry import FolderWriter, LoadContext, component
from ceiba.io.sealed import LIST, OBJECT, STRING, Fields
from ceiba.models.encoder_queries import embed_texts, load_encoder_of_model, save_encoder
from ceiba.models.query_makers import text_features
from ceiba.models.training_texts import as_texts
from ceiba.retrieval.queries import Queries


class TextEncoder(NamedTuple):
    """An encoder, and the block of features that its embeddings are.

    Attributes
    ----------
    block : str
    encoder : Encoder
    chunks : bool
        Whether long texts are read in chunks.
    """

    block: str
    encoder: Any
    chunks: bool = False

    def embed(
        self, texts: list[str], *, progress: Callable[[int], Any] | None = None, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Embed texts that were checked."""
        return embed_texts(self.encoder, texts, chunks=self.chunks, progress=progress, n_threads=n_threads)


@component("several-encoders", "queries")
class SeveralEncoderQueries:
    """Queries of texts: sparse features, and the embedding by each of several encoders.

    Parameters
    ----------
    encoders : sequence of TextEncoder
        Their blocks have names of their own.
    vectorizer : TfidfVectorizer or fitted transformer
    n_sparse : int
        Sparse features.
    owner : str, default="the model"
        The class of the estimator, which messages name.
    """

    kind: ClassVar[str]
    reads_texts = True
    feature_names = None

    def __init__(self, encoders: Sequence[TextEncoder], vectorizer: Any, n_sparse: int, *, owner: str = "the model"):
        self.encoders, self.vectorizer, self.n_sparse = tuple(encoders), vectorizer, n_sparse
        self._features = text_features(vectorizer, n_sparse, owner)

    @property
    def dims(self) -> Mapping[str, int]:
        """The width of each encoder's embeddings, by the name of their block."""
        return {each.block: each.encoder.dim for each in self.encoders}

    @property
    def dim(self) -> int:
        """The width of all embeddings together."""
        return sum(self.dims.values())

    @property
    def encoder_devices(self) -> tuple[str, ...]:
        """The kind of device that each encoder computes on."""
        return tuple(each.encoder.device.type for each in self.encoders)

    @property
    def n_features(self) -> int:
        """Sparse features and embeddings."""
        return self.n_sparse + self.dim

    def queries(self, X: Any, n_threads: int = 1) -> Queries:
        """Return features and embeddings of texts."""
        texts = as_texts(X)
        features: FeatureMatrix = (
            self._features(texts) if texts else as_features(sp.csr_array((0, self.n_sparse)), allow_empty=True)
        )
        for each in self.encoders:
            rows = each.embed(texts, n_threads=n_threads) if texts else np.empty((0, each.encoder.dim), np.float32)
            features = features.with_block(each.block, rows)
        return Queries(features, texts)

    def save(self, writer: FolderWriter) -> dict[str, Any]:
        """Write the encoders and the vectorizer."""
        for number, each in enumerate(self.encoders):
            save_encoder(each.encoder, writer.path(f"encoder-{number}"))
        return {
            "n_sparse": self.n_sparse,
            "vectorizer": save_vectorizer(self.vectorizer, writer.path()),
            "encoders": [{"block": each.block, "chunks": each.chunks} for each in self.encoders],
        }

    @classmethod
    def load(cls, files: FolderFiles, fields: Fields, context: LoadContext) -> SeveralEncoderQueries:
        """Read what `save` wrote."""
        encoders = []
        for number, values in enumerate(fields.get("encoders", LIST)):
            if not OBJECT.accepts(values):
                raise ModelFormatError(f"{fields.path}: an entry of 'encoders' is not an object.")
            own = Fields(values, fields.path)
            block, chunks = own.get("block", STRING), bool(own.get("chunks", Flag()))
            encoders.append(TextEncoder(block, load_encoder_of_model(files, context, f"encoder-{number}"), chunks))
        if not encoders or len({each.block for each in encoders}) < len(encoders):
            raise ModelFormatError(f"{fields.path}: 'encoders' must be different ones.")
        vectorizer = read_vectorizer(fields.get("vectorizer", OBJECT), files, trusted=context.trusted)
        return cls(encoders, vectorizer, fields.get("n_sparse", Interval(int, 1, 2**31 - 1)), owner=context.owner)
