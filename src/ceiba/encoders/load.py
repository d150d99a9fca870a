"""Names and folders to encoders, with one clear error for each thing that can be missing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ceiba.encoders.runtime import choose_device, choose_precision, quiet, require_torch
from ceiba.errors import CeibaError, InputError, ModelFormatError

_POOLING_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_PLAIN_MODULES = ("Transformer", "Pooling", "Normalize")
_FEW = 10_000_000  # tokenizers without a limit name an astronomical one


def load_encoder(
    name: str | Path,
    *,
    pooling: str = "auto",
    max_length: int | None = None,
    dropout: float | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Any:
    """Load an encoder from a folder or from the Hugging Face hub.

    Parameters
    ----------
    name : str or Path
        A folder in Hugging Face's or sentence-transformers' layout, one of a static encoder that Ceiba saved, or the
        name of a model on the hub.
    pooling : {"auto", "mean", "cls", "last"}, default="auto"
        How a text's tokens become one vector. "auto": what a sentence-transformers model names, else the last token
        for decoders and the mean for all others.
    max_length : int or None, default=None
        Tokens read of a text; as many as the model takes when None.
    dropout : float or None, default=None
        Replaces the dropout of the network in training; its own when None. Attention weights are never dropped.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is a GPU where there is one.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        The number format of matrix products.

    Returns
    -------
    Encoder

    Raises
    ------
    MissingExtraError
        When torch or transformers is not installed.
    InputError
        When the folder is missing or holds no encoder or no tokenizer, `max_length` is more than the model takes, or
        there is no such device.
    """
    require_torch("A Transformer encoder")
    import transformers

    from ceiba.encoders.dropout import disable_attention_dropout, replace_dropout
    from ceiba.encoders.encoder import Encoder
    from ceiba.encoders.static import is_static, load_static

    chosen = choose_device(device)
    name = str(name)
    if is_static(Path(name).expanduser()):
        return load_static(Path(name).expanduser(), max_length=max_length, dropout=dropout).to(chosen)
    _check_folder(name)
    with quiet():
        config = _loaded("a model", name, transformers.AutoConfig)
        _set_dropout(config, dropout)
        disable_attention_dropout(config)
        tokenizer = _loaded("a tokenizer", name, transformers.AutoTokenizer)
        network = _loaded("weights", name, transformers.AutoModel, config=config, dtype="float32")
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):  # what transformers makes of a folder without any
        raise InputError(f"encoder: {name!r} has no tokenizer; its folder needs tokenizer.json or a vocabulary.")
    if getattr(config, "is_encoder_decoder", False):
        network = network.get_encoder()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    limit = _most_tokens(config, tokenizer)
    if max_length is not None and max_length > limit:
        raise InputError(f"max_length is {max_length}, but the encoder {name!r} reads at most {limit} tokens.")
    if pooling == "auto":
        pooling = _own_pooling(name) or ("last" if _is_decoder(config) else "mean")
    replace_dropout(network)
    encoder = Encoder(network, tokenizer, pooling, max_length or min(limit, 512), choose_precision(precision, chosen))
    return encoder.to(chosen)


def load_saved(folder: Path, *, device: str = "auto", precision: str = "auto") -> Any:
    """Load an encoder that ``Encoder.save`` wrote, with its own pooling and length.

    Raises
    ------
    ModelFormatError
        When the folder holds none.
    """
    from ceiba.encoders.encoder import CONFIG_FILE

    require_torch("A model with an encoder")
    path = folder / CONFIG_FILE
    try:
        use = json.loads(path.read_text(encoding="utf-8"))
        return load_encoder(
            folder, pooling=use["pooling"], max_length=use["max_length"], device=device, precision=precision
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError) and "device" in str(error):
            raise
        raise ModelFormatError(f"{path}: cannot read the encoder: {error}") from error


def _check_folder(name: str) -> None:
    """Say what is wrong with a folder before the hub is asked for a model of that name."""
    path = Path(name).expanduser()
    looks_like_path = name.startswith((".", "/", "~")) or os.sep * 2 in name or name.count("/") > 1 or path.exists()
    if not looks_like_path:
        return
    if not path.is_dir():
        raise InputError(f"encoder: {name!r} is not a folder.")
    if not (path / "config.json").is_file():
        raise InputError(f"encoder: the folder {name!r} holds no config.json, so it is no Hugging Face model.")


def _loaded(what: str, name: str, kind: Any, **options: Any) -> Any:
    try:
        return kind.from_pretrained(
            str(Path(name).expanduser()) if Path(name).expanduser().exists() else name, **options
        )
    except CeibaError:
        raise
    except Exception as error:  # from_pretrained raises OSError, ValueError, KeyError and errors of other libraries
        if sys.flags.optimize > 1:  # transformers reads docstrings while it imports a network
            raise InputError(
                f"encoder: {name!r} does not load as {what}: transformers needs docstrings, which python -OO drops. "
                'Run with -O or without, or use encoder="static".'
            ) from error
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"encoder: {name!r} does not load as {what}: {reason}") from error


def _set_dropout(config: Any, dropout: float | None) -> None:
    if dropout is None:
        return
    names = [n for n in vars(config) if n.endswith(("dropout", "dropout_prob")) and "classifier" not in n]
    for each in names:
        if isinstance(getattr(config, each), (int, float)):
            setattr(config, each, dropout)


def _most_tokens(config: Any, tokenizer: Any) -> int:
    positions = getattr(config, "max_position_embeddings", None)
    own = tokenizer.model_max_length if tokenizer.model_max_length < _FEW else None
    if positions and config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= 2  # their positions count from the padding's number on
    limits = [limit for limit in (positions, own) if limit and limit > 0]
    return min(limits) if limits else 512


def _is_decoder(config: Any) -> bool:
    if getattr(config, "is_decoder", False):
        return True
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or [])


def _own_pooling(name: str) -> str | None:
    """Return the pooling that a sentence-transformers model names, or None where the model is not one."""
    modules = _json_of(name, "modules.json")
    if not isinstance(modules, list):
        return None
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    more = [kind for kind in kinds if kind not in _PLAIN_MODULES]
    if more:
        raise InputError(f"encoder: {name!r} has a module {more[0]!r}; only Transformer, Pooling, Normalize are read.")
    where = next((str(m.get("path", "")) for m, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), None)
    flags = _json_of(name, f"{where}/config.json") if where else None
    if not isinstance(flags, dict):
        return None
    chosen = [how for flag, how in _POOLING_FLAGS.items() if flags.get(flag)]
    if len(chosen) != 1:
        raise InputError(f"encoder: {name!r} names a pooling that ceiba does not have; give pooling=.")
    return chosen[0]


def _json_of(name: str, file: str) -> Any:
    from transformers.utils import cached_file

    local = Path(name).expanduser()
    if local.is_dir():
        path: Any = local / file
    else:
        path = cached_file(
            name,
            file,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    if path is None or not Path(path).is_file():
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"encoder: {path} is damaged: {error}") from error
