"""An encoder: a tokenizer and a network that turns a text into one vector of length 1."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ceiba.encoders.cast_weights import CastWeights
from ceiba.encoders.runtime import quiet, use_one_thread
from ceiba.encoders.tokens import Chunks, TokenRows, encoding_batches, tokenize, tokenize_chunks

CONFIG_FILE = "ceiba_encoder.json"
_BACKEND = "inductor"  # of torch.compile
_MAX_BATCH_TOKENS = 4096  # in prediction: activations stay in the caches of a CPU, and fill a GPU
_MIN_BATCHES = 16  # of few texts, so that several threads have work; batches do not depend on the number of threads


def pool(hidden: Tensor, mask: Tensor, how: str) -> Tensor:
    """Turn the hidden states of a text's tokens into one vector.

    Parameters
    ----------
    hidden : Tensor of shape (B, S, d)
    mask : Tensor of shape (B, S)
        1 for tokens, 0 for padding, which stands on the right.
    how : {"mean", "cls", "last"}
        The mean over the tokens, the first token, or the last.
    """
    if how == "cls":
        return hidden[:, 0]
    if how == "last":
        last = mask.sum(1).clamp(min=1) - 1
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)


class Encoder(nn.Module):
    """A tokenizer, a network over its tokens, and pooling.

    Parameters
    ----------
    network : Module
        Takes ``input_ids`` and ``attention_mask`` and returns an object with ``last_hidden_state``: any AutoModel.
    tokenizer : transformers tokenizer
    pooling : {"mean", "cls", "last"}
    max_length : int
        Tokens read of a text.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        The number format of matrix products; weights are always float32.
    """

    min_batch_tokens = 512  # on a CPU; smaller batches take longer per token
    max_full_softmax_nodes = 2**15  # a product of a batch with so many nodes takes little time beside its step

    def __init__(self, network: nn.Module, tokenizer: Any, pooling: str, max_length: int, precision: str = "float32"):
        super().__init__()
        self.network, self.tokenizer = network, tokenizer
        self.pooling, self.max_length, self.precision = pooling, max_length, precision
        self._compiled: Any = None
        self._cast_weights = CastWeights()
        self.eval()  # only fine-tuning trains; a forward pass of several threads could not each choose a mode
        if tokenizer is not None:  # the first call sets the length in it, which several threads must not do at once
            tokenize([""], tokenizer, max_length)

    @property
    def dim(self) -> int:
        """d, the length of an embedding."""
        return int(self.network.config.hidden_size)  # type: ignore[union-attr, arg-type]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def train(self, mode: bool = True) -> Encoder:
        """Begin or end training."""
        self._cast_weights.forget()
        super().train(mode)
        return self

    def tokenize(self, texts: Sequence[str], progress: Callable[[int], Any] | None = None) -> TokenRows:
        """Return the tokens of texts, of each the first `max_length`."""
        return tokenize(texts, self.tokenizer, self.max_length, progress)

    def tokenize_chunks(self, texts: Sequence[str], progress: Callable[[int], Any] | None = None) -> Chunks:
        """Return all tokens of texts, in chunks of `max_length`."""
        return tokenize_chunks(texts, self.tokenizer, self.max_length, progress)

    def forward(self, tokens: TokenRows, rows: NDArray[np.intp]) -> Tensor:
        """Return the embeddings of some rows: float32, of length 1, shape (len(rows), d)."""
        ids, mask = (torch.from_numpy(a).to(self.device) for a in tokens.padded(rows, self.tokenizer.pad_token_id or 0))
        with self.autocast():
            hidden = self._hidden(ids, mask)
        return nn.functional.normalize(pool(hidden.float(), mask, self.pooling), dim=-1)

    def _hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the network's last hidden states, by the compiled network where there is one."""
        if self._compiled is not None:
            try:
                return self._compiled(ids, mask)
            except Exception as error:  # compilers raise errors of any class
                if not self.stop_compiling(error):
                    raise
        return self._plain(ids, mask)

    def _plain(self, ids: Tensor, mask: Tensor) -> Tensor:
        network = self.network
        if self.precision != "float32" and self.device.type == "cpu" and not (self.training or torch.is_grad_enabled()):
            network = self._cast_weights.of(network, getattr(torch, self.precision))
        return network(input_ids=ids, attention_mask=mask).last_hidden_state

    @contextlib.contextmanager
    def compiling(self, compile: bool | str) -> Iterator[None]:
        """Use a compiled network within a block; "auto" is on CUDA only. It is compiled when it is first called."""
        if compile is True or (compile == "auto" and self.device.type == "cuda"):
            self._compiled = torch.compile(self._plain, dynamic=True, backend=_BACKEND)
        try:
            yield
        finally:
            self._compiled = None

    def stop_compiling(self, error: Exception) -> bool:
        """Stop using the compiler after an error, and warn. Return False where no compiler is in use.

        The caller then tries again. An error that is not the compiler's occurs again.
        """
        if self._compiled is None or isinstance(error, torch.OutOfMemoryError):
            return False
        self._compiled = None
        reason = str(error).strip().split("\n")[0]
        warnings.warn(f"torch.compile failed, training goes on without it: {reason}", RuntimeWarning, stacklevel=3)
        return True

    def autocast(self) -> Any:
        """Return the context in which matrix products are made in `precision`."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.precision))

    def embed(
        self,
        tokens: TokenRows,
        *,
        out: NDArray[np.float32] | None = None,
        progress: Callable[[int], Any] | None = None,
        n_threads: int | None = None,
    ) -> NDArray[np.float32]:
        """Embed all rows, longest first, in batches of as many texts as fit.

        Several threads may call this at once. On a processor the call's own threads share the batches. One thread
        computes a batch, so embeddings do not depend on the number of threads, and threads do not wait for each other.

        Parameters
        ----------
        tokens : TokenRows of N rows
        out : ndarray of shape (N, d) or None, default=None
            Written to and returned, where given.
        progress : callable or None, default=None
            ``progress(done)``, called after each batch.
        n_threads : int or None, default=None
            Threads on a processor; as many as torch has in the calling thread when None.
        """
        found = np.empty((tokens.n_rows, self.dim), np.float32) if out is None else out
        done, on_cpu = 0, self.device.type == "cpu"
        max_tokens = _MAX_BATCH_TOKENS
        if on_cpu:
            max_tokens = min(max_tokens, max(self.min_batch_tokens, int(tokens.ptr[-1]) // _MIN_BATCHES))
        batches = list(encoding_batches(tokens.lengths, max_tokens))
        if on_cpu and self._compiled is None:
            embedded = self._embed_parallel(tokens, batches, found, n_threads or torch.get_num_threads())
        else:
            embedded = self._embed_batches(tokens, batches, found)
        for rows in embedded:
            done += len(rows)
            if progress is not None:
                progress(done)
        return found

    def embed_chunks(
        self, chunks: Chunks, embeddings: NDArray[np.float32], *, n_threads: int | None = None
    ) -> NDArray[np.float32]:
        """Return the embeddings of texts of several chunks: the means of their chunks', scaled to length 1.

        Parameters
        ----------
        chunks : Chunks of N texts
        embeddings : ndarray of shape (N, d), float32
            Those of the first chunks; changed in place where it can be. Texts of one chunk keep theirs.
        n_threads : int or None, default=None
        """
        if not len(chunks.text):
            return embeddings
        more = self.embed(chunks.more, n_threads=n_threads)
        texts, begins = np.unique(chunks.text, return_index=True)
        means = embeddings[texts] + np.add.reduceat(more, begins)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.float32(1e-12))
        if not embeddings.flags.writeable:  # of a file, in a cache
            embeddings = np.array(embeddings)
        embeddings[texts] = means
        return embeddings

    def _embed_batches(
        self, tokens: TokenRows, batches: Sequence[NDArray[np.intp]], found: NDArray[np.float32]
    ) -> Iterator[NDArray[np.intp]]:
        """Embed batches one after the other, in halves where memory runs out; yield what has been embedded."""
        for batch in batches:
            parts = [batch]
            while parts:
                rows = parts.pop()
                try:
                    with torch.inference_mode():
                        found[rows] = self(tokens, rows).cpu().numpy()
                except torch.OutOfMemoryError:
                    if len(rows) == 1:
                        raise
                    torch.cuda.empty_cache()
                    parts.extend(np.array_split(rows, 2))
                    continue
                yield rows

    def _embed_parallel(
        self, tokens: TokenRows, batches: Sequence[NDArray[np.intp]], found: NDArray[np.float32], n_threads: int
    ) -> Iterator[NDArray[np.intp]]:
        """Embed batches in several threads, each batch in one of them.

        The threads end with the call: what they set is their own, and none of them is missing after a fork.
        """
        if not batches:
            return

        def read(batch: NDArray[np.intp]) -> list[NDArray[np.intp]]:
            return list(self._embed_batches(tokens, [batch], found))

        threads = ThreadPoolExecutor(min(n_threads, len(batches)), initializer=use_one_thread)
        try:
            for parts in threads.map(read, batches):
                yield from parts
        finally:
            threads.shutdown(cancel_futures=True)

    def freeze_embeddings(self) -> None:
        """Do not train the token embeddings. They are half of a small encoder's weights, and few texts train each."""
        self.network.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]

    def optimizers(self, learning_rate: float, weight_decay: float) -> list[torch.optim.Optimizer]:
        """Return the optimizers of the weights that are not frozen."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        return [torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused)]

    def save(self, folder: Path) -> None:
        """Write network and tokenizer in Hugging Face's layout, and how Ceiba uses them."""
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.network.save_pretrained(folder)  # type: ignore[operator]
            self.tokenizer.save_pretrained(folder)
        use = {"pooling": self.pooling, "max_length": self.max_length}
        (folder / CONFIG_FILE).write_text(json.dumps(use, indent=1), encoding="utf-8")


def mean_cosine(embeddings: NDArray[np.float32]) -> float:
    """Return the mean cosine between embeddings of length 1. Near 1 the embeddings hardly differ."""
    return float(np.square(embeddings.mean(axis=0, dtype=np.float64)).sum()) if len(embeddings) else 0.0
