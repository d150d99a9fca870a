"""A cache of tokens and embeddings in a folder. Files are named by a fingerprint and checked when they are read."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ceiba.encoders.encoder import Encoder
from ceiba.encoders.tokens import TokenRows
from ceiba.errors import InputError, ModelFormatError
from ceiba.io.tensors import read_tensors, replace_tensors

_SUM = "checksum"


class Cache:
    """A folder of tokens and embeddings.

    The name of a file is a digest of everything that its content depends on. The file also holds a digest of its
    content. A damaged file is made again, with a warning. Files are never removed.

    Parameters
    ----------
    folder : str or Path
        Made where it does not exist.

    Raises
    ------
    InputError
        When the folder cannot be made, or is a file.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cache_dir: {str(folder)!r} cannot be used as a folder: {error}") from error

    def tokens(self, encoder: Encoder, texts: Sequence[str], progress: Callable[[int], Any] | None = None) -> TokenRows:
        """Return the tokens of texts, mapped from the cache where it has them."""
        digest = hashlib.sha256()
        own = json.loads(encoder.tokenizer.backend_tokenizer.to_str())
        for name in ("truncation", "padding"):  # of the last call, if there was one
            own.pop(name, None)
        _add(digest, json.dumps(own, sort_keys=True), type(encoder.tokenizer).__name__, encoder.max_length)
        for text in texts:
            _add(digest, text)

        def make() -> dict[str, NDArray]:
            return encoder.tokenize(texts, progress)._asdict()

        def fits(found: dict[str, NDArray]) -> bool:
            return found["ptr"].shape == (len(texts) + 1,)

        found = self._get(f"tokens-{digest.hexdigest()}", ("ptr", "ids"), fits, make)
        return TokenRows(found["ptr"], found["ids"])

    def embeddings(
        self, encoder: Encoder, tokens: TokenRows, progress: Callable[[int], Any] | None = None
    ) -> NDArray[np.float32]:
        """Return the embeddings of tokens, mapped from the cache where it has them."""
        digest = hashlib.sha256()
        _add(digest, encoder.precision, encoder.device.type, encoder_fingerprint(encoder))
        for array in tokens:
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)

        def make() -> dict[str, NDArray]:
            return {"embeddings": encoder.embed(tokens, progress=progress)}

        def fits(found: dict[str, NDArray]) -> bool:
            return found["embeddings"].shape == (tokens.n_rows, encoder.dim)

        return self._get(f"embeddings-{digest.hexdigest()}", ("embeddings",), fits, make)["embeddings"]

    def _get(
        self,
        name: str,
        parts: Sequence[str],
        fits: Callable[[dict[str, NDArray]], bool],
        make: Callable[[], dict[str, NDArray]],
    ) -> dict[str, NDArray]:
        """Return the arrays of a file. A file that is missing or damaged is written first."""
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            try:
                found = read_tensors(path)
                if set(found) == {*parts, _SUM} and fits(found) and bytes(found[_SUM]) == _content(found, parts):
                    return found
                reason = "its content is not what was written"
            except ModelFormatError as error:
                reason = str(error)
            warnings.warn(f"cache_dir: {path} is damaged and is made again: {reason}", RuntimeWarning, stacklevel=4)
        made = make()
        replace_tensors(path, {**made, _SUM: np.frombuffer(_content(made, parts), np.uint8)})
        return read_tensors(path)  # mapped: what was made need not stay in memory


def encoder_fingerprint(encoder: Encoder) -> str:
    """Return a digest of an encoder: the kind, configuration and weights of its network, and its pooling."""
    digest = hashlib.sha256()
    _add(digest, encoder.pooling, type(encoder.network).__name__)
    config = getattr(encoder.network, "config", None)
    values = {} if config is None else config.to_dict()
    values.pop("_name_or_path", None)  # the folder does not matter
    _add(digest, json.dumps(values, sort_keys=True, default=str))
    for name, value in encoder.network.state_dict().items():
        _add(digest, name)
        digest.update(np.ascontiguousarray(value.cpu().numpy()).view(np.uint8).data)
    return digest.hexdigest()


def _content(arrays: dict[str, NDArray], parts: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(arrays[part]).view(np.uint8).data)
    return digest.digest()


def _add(digest: Any, *parts: Any) -> None:
    """Add parts to a digest, each with its length: two different lists of parts never give the same bytes."""
    for part in parts:
        content = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
