"""A static encoder: a vector and a weight per token, learned from the texts alone, with no weights to begin from."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ceiba.encoders.encoder import CONFIG_FILE, Encoder
from ceiba.encoders.runtime import quiet
from ceiba.encoders.tokens import TokenRows
from ceiba.errors import InputError

DEFAULT_DIM = 256
_KIND = "static"
_WEIGHTS_FILE, _TOKENIZER_FILE = "model.safetensors", "tokenizer.json"
_VOCABULARY = 30_000  # tokens at most: on a few million texts nearly all words stand in it whole
_WORD_TYPES = 300_000  # words that parts of words are counted in, the most frequent
_CHARACTERS, _PARTS, _PART_WORDS = 2000, 3000, 10  # at most so many; a part stands in so many words at least
_MAX_TEXTS = 100_000  # texts that the first vectors are learned from, at most
_PAD, _UNKNOWN, _BEGIN = "[PAD]", "[UNK]", "[CLS]"
_DROPOUT = 0.1
# times the rate of pretrained weights: a vector is moved only by the texts its token stands in, and begins near nothing
# else that is worth keeping
_VECTOR_LR_FACTOR, _WEIGHT_LR_FACTOR = 400.0, 100.0


def static_dim(name: str) -> int | None:
    """Return d of "static" or "static:d"; None where the name is of another encoder.

    Raises
    ------
    InputError
        When d is no number from 2 on.
    """
    if name != _KIND and not name.startswith(f"{_KIND}:"):
        return None
    width = name[len(_KIND) + 1 :] if ":" in name else str(DEFAULT_DIM)
    if not re.fullmatch(r"[0-9]{1,5}", width) or int(width) < 2:
        raise InputError(f"encoder: 'static:256' gives the width as a number from 2 on. Got {name!r} instead.")
    return int(width)


class StaticNetwork(nn.Module):
    """The vectors and weights of V tokens.

    Parameters
    ----------
    vectors : Tensor of shape (V, d)
    log_weight : Tensor of shape (V,)
        Logarithms, so that a weight stays positive.
    dropout : float
        The share of a text's tokens that is left out in training.
    """

    def __init__(self, vectors: Tensor, log_weight: Tensor, dropout: float = _DROPOUT):
        super().__init__()
        self.vectors, self.log_weight = nn.Parameter(vectors), nn.Parameter(log_weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        """Return the weighted sums over texts of tokens one after the other; text i begins at offsets[i]."""
        weight = self.dropout(self.log_weight[ids].exp())
        return nn.functional.embedding_bag(
            ids, self.vectors, offsets, mode="sum", per_sample_weights=weight, sparse=True
        )


class StaticEncoder(Encoder):
    """The weighted mean of a text's token vectors, scaled to length 1, whatever their order.

    Parameters
    ----------
    network : StaticNetwork
    tokenizer : transformers tokenizer
    max_length : int
        Tokens read of a text.
    """

    network: StaticNetwork
    min_batch_tokens = 4096  # smaller batches end before another thread has begun
    max_full_softmax_nodes = 2**11  # its steps cost little beside a product with more

    def __init__(self, network: StaticNetwork, tokenizer: Any, max_length: int):
        super().__init__(network, tokenizer, "mean", max_length)

    @property
    def dim(self) -> int:
        """d, the length of an embedding."""
        return self.network.vectors.shape[1]

    def forward(self, tokens: TokenRows, rows: NDArray[np.intp]) -> Tensor:
        """Return the embeddings of some rows: float32, of length 1, shape (len(rows), d)."""
        ids, real = tokens.padded(rows, 0)
        ends = np.cumsum(real.sum(1))
        offsets = np.concatenate([[0], ends[:-1]])
        flat, begins = (torch.from_numpy(a).to(self.device) for a in (ids[real > 0], offsets))
        return nn.functional.normalize(self.network(flat, begins), dim=-1)

    def freeze_embeddings(self) -> None:
        """Do nothing: a static encoder has no other weights to train."""

    def optimizers(self, learning_rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
        """Return the optimizers of the vectors and of the weights. The vectors have no weight decay.

        Updates are sparse: an update of all vectors at every step would take longer than the rest of the step. There is
        no momentum: a vector is updated only when its token occurs, so momentum would act on frequent tokens alone.
        """
        vectors = torch.optim.SparseAdam(
            [self.network.vectors], lr=_VECTOR_LR_FACTOR * learning_rate, betas=(0.0, 0.999)
        )
        weights = torch.optim.AdamW(
            [self.network.log_weight], lr=_WEIGHT_LR_FACTOR * learning_rate, weight_decay=weight_decay
        )
        return [vectors, weights]

    def save(self, folder: Path) -> None:
        """Write vectors and weights as safetensors, the tokenizer and how Ceiba uses them as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.network.named_parameters()}
        save_file(tensors, folder / _WEIGHTS_FILE)
        self.tokenizer.backend_tokenizer.save(str(folder / _TOKENIZER_FILE))
        use = {"kind": _KIND, "pooling": self.pooling, "max_length": self.max_length}
        (folder / CONFIG_FILE).write_text(json.dumps(use, indent=1), encoding="utf-8")


def is_static(folder: Path) -> bool:
    """Return whether a folder holds what ``StaticEncoder.save`` writes."""
    try:
        use = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(use, dict) and use.get("kind") == _KIND


def load_static(folder: Path, *, max_length: int | None = None, dropout: float | None = None) -> StaticEncoder:
    """Load what ``StaticEncoder.save`` wrote.

    Raises
    ------
    InputError
        When a file is missing or damaged.
    """
    from tokenizers import Tokenizer

    try:
        use = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        tensors = load_file(folder / _WEIGHTS_FILE)
        vectors, log_weight = tensors["vectors"].float(), tensors["log_weight"].float()
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER_FILE))
        length = int(use["max_length"]) if max_length is None else max_length
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"encoder: {str(folder)!r} is a damaged static encoder: {error!r}") from error
    except Exception as error:  # tokenizers raises this very class
        raise InputError(f"encoder: {folder / _TOKENIZER_FILE} does not load as a tokenizer: {error}") from error
    if vectors.ndim != 2 or log_weight.shape != vectors.shape[:1] or len(vectors) < tokenizer.get_vocab_size():
        raise InputError(f"encoder: {folder / _WEIGHTS_FILE} does not have a vector for each token.")
    return StaticEncoder(StaticNetwork(vectors, log_weight, _share(dropout)), _wrapped(tokenizer), length)


def fit_static_encoder(
    texts: Sequence[str],
    dim: int = DEFAULT_DIM,
    *,
    max_length: int = 128,
    dropout: float | None = None,
    seed: int = 0,
    progress: Callable[[int], Any] | None = None,
) -> StaticEncoder:
    """Make a static encoder from texts: a vocabulary, and vectors by which it begins as latent semantic analysis.

    Parameters
    ----------
    texts : sequence of N str
    dim : int, default=256
        d.
    max_length : int, default=128
        Tokens read of a text.
    dropout : float or None, default=None
        The share of a text's tokens that is left out in training; 0.1 when None.
    seed : int, default=0
    progress : callable or None, default=None
        ``progress(done)``, called now and then.

    References
    ----------
    - Deerwester, Dumais, Furnas, Landauer and Harshman, "Indexing by latent semantic analysis", JASIS 1990: the first
      vectors, from the singular vectors of TF-IDF.
    - Schuster and Nakajima, "Japanese and Korean voice search", ICASSP 2012: the vocabulary (WordPiece).
    """
    tokenizer = _wrapped(_learn_tokenizer(texts))
    rng = np.random.default_rng([seed, 3])
    sample: Sequence[str] = texts
    if len(texts) > _MAX_TEXTS:
        sample = [texts[i] for i in np.sort(rng.choice(len(texts), _MAX_TEXTS, replace=False))]
    counts = _token_counts(sample, tokenizer, max_length, progress)
    idf = np.log((1 + counts.shape[0]) / (1 + counts.count_nonzero(axis=0))) + 1
    idf[tokenizer.convert_tokens_to_ids(_BEGIN)] = 1e-3  # a direction for texts of no other token
    vectors = _latent_vectors(counts, idf, dim, seed, rng)
    network = StaticNetwork(
        torch.from_numpy(vectors), torch.from_numpy(np.log(idf).astype(np.float32)), _share(dropout)
    )
    return StaticEncoder(network, tokenizer, max_length)


def _learn_tokenizer(texts: Sequence[str]) -> Any:
    """Return a WordPiece tokenizer of these texts: frequent words whole, others in parts.

    The trainers of the library break ties in an order that differs from run to run, but for the one that lists whole
    words; so the parts are chosen here.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    def words(min_frequency: int, most: int) -> list[str]:
        counter = Tokenizer(models.WordLevel(unk_token=_UNKNOWN))
        counter.normalizer, counter.pre_tokenizer = normalizer, splitter
        trainer = trainers.WordLevelTrainer(vocab_size=most, min_frequency=min_frequency, show_progress=False)
        counter.train_from_iterator(iter(texts), trainer, length=len(texts))
        vocabulary = counter.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(lowercase=True, strip_accents=False)]
    )
    splitter = pre_tokenizers.BertPreTokenizer()
    special = [_PAD, _UNKNOWN, _BEGIN]
    parts = _parts(words(1, _WORD_TYPES))
    whole = words(2, _VOCABULARY)
    listed = dict.fromkeys([*special, *parts, *whole])
    vocabulary = {token: number for number, token in enumerate(list(listed)[:_VOCABULARY])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A", special_tokens=[(_BEGIN, vocabulary[_BEGIN])]
    )
    return tokenizer


def _parts(words: list[str]) -> list[str]:
    """Return what words that are not listed are cut into: characters, frequent beginnings and frequent endings."""
    characters: Counter[str] = Counter()
    beginnings: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for word in words:
        characters.update(word)
        beginnings.update(word[:n] for n in range(4, min(len(word), 12)))
        endings.update(word[-n:] for n in range(2, min(len(word) - 1, 9)))
    single = [c for c, _ in _most_common(characters, 1, _CHARACTERS)]
    first = [part for part, _ in _most_common(beginnings, _PART_WORDS, _PARTS)]
    last = [f"##{part}" for part, _ in _most_common(endings, _PART_WORDS, _PARTS)]
    return [*single, *(f"##{c}" for c in single), *first, *last]


def _most_common(counts: Counter[str], least: int, most: int) -> list[tuple[str, int]]:
    """Return the most frequent entries, ties in order of their characters."""
    kept = [(text, count) for text, count in counts.items() if count >= least]
    return sorted(kept, key=lambda entry: (-entry[1], entry[0]))[:most]


def _wrapped(tokenizer: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    with quiet():
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=_PAD, unk_token=_UNKNOWN, cls_token=_BEGIN)


def _token_counts(
    texts: Sequence[str], tokenizer: Any, max_length: int, progress: Callable[[int], Any] | None
) -> sp.csr_array:
    """Return how often each token stands in each text: (N, V)."""
    from ceiba.encoders.tokens import tokenize

    tokens = tokenize(texts, tokenizer, max_length, progress)
    shape = (tokens.n_rows, len(tokenizer))
    counts = sp.csr_array((np.ones(len(tokens.ids), np.float32), np.array(tokens.ids), tokens.ptr), shape=shape)
    counts.sum_duplicates()
    return counts


def _latent_vectors(
    counts: sp.csr_array, idf: NDArray[np.float64], dim: int, seed: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return vectors (V, d) by latent semantic analysis.

    Their sums, weighted by IDF, are the texts' coordinates in the space of the largest singular vectors of TF-IDF.
    Where there are fewer than d of these, the rest is small and random.
    """
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    tfidf = normalize(sp.csr_array(counts @ sp.diags_array(idf.astype(np.float32))))
    rank = min(dim, min(tfidf.shape) - 1)
    vectors = rng.standard_normal((tfidf.shape[1], dim), np.float32)
    vectors *= 1e-3
    if rank > 0:
        # one thread: NumPy's own threads do not make it faster, and another number of them rounds differently
        with threadpool_limits(1, user_api="blas"):
            _, values, right = randomized_svd(tfidf, rank, n_iter=2, random_state=seed)
        vectors[:, :rank] += (right * _spread(values)[:, None]).T * np.sqrt(len(right.T) / dim)
    return vectors


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return (values[0] / np.maximum(values, 1e-3 * values[0])) ** 0.5


def _share(dropout: float | None) -> float:
    return _DROPOUT if dropout is None else dropout
