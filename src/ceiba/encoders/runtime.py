"""What encoders run on: torch and transformers, devices, precision, threads."""

from __future__ import annotations

import os
from typing import Any

from ceiba.errors import InputError, MissingExtraError


def require_torch(purpose: str) -> None:
    """Raise MissingExtraError unless torch and transformers can be imported."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "transformer", purpose) from None


def require_accelerate(purpose: str) -> bool:
    """Return whether this is one of several processes; raise MissingExtraError where they could not work together."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return False
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "accelerate", "distributed", purpose) from None
    return True


def choose_device(name: str) -> Any:
    """Return the torch device of a name; "auto" is a GPU where there is one.

    Raises
    ------
    InputError
        When the device is not there.
    """
    import torch

    if name == "auto":
        for kind, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
            if there:
                return torch.device(kind)
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be 'auto', 'cpu', 'cuda', 'cuda:0' or the like. Got {name!r} instead.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device={name!r}, but torch sees {torch.cuda.device_count()} CUDA devices here.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device={name!r} is not available here.")
    return device


def choose_precision(name: str, device: Any) -> str:
    """Return what matrix products are made in; "auto" is bfloat16 where the device multiplies it faster."""
    import torch

    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.type == "cpu":
        probes = (getattr(torch.cpu, probe, None) for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return "bfloat16" if any(probe is not None and probe() for probe in probes) else "float32"
    return "float32"


class quiet:
    """Keeps transformers' notices about unused weights and its progress bars off the screen."""

    def __init__(self) -> None:
        import transformers

        self._logging: Any = transformers.logging

    def __enter__(self) -> None:
        self._level, self._bars = self._logging.get_verbosity(), self._logging.is_progress_bar_enabled()
        self._logging.set_verbosity_error()
        self._logging.disable_progress_bar()

    def __exit__(self, *_: Any) -> None:
        self._logging.set_verbosity(self._level)
        if self._bars:
            self._logging.enable_progress_bar()


class torch_threads:
    """Gives torch a number of threads for a while."""

    def __init__(self, n_threads: int):
        self._n_threads = n_threads

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_num_threads()
        torch.set_num_threads(self._n_threads)

    def __exit__(self, *_: Any) -> None:
        import torch

        torch.set_num_threads(self._before)
