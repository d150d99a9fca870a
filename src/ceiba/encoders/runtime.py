"""What encoders run on: torch and transformers, devices, precision, threads."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Any

from ceiba.errors import ForkError, InputError, MissingExtraError


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
    """Return the number format of matrix products; "auto" is bfloat16 where the device multiplies it faster."""
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
    """Gives torch a number of threads for operations that the calling thread starts, for a while.

    ``torch.set_num_threads`` would also set it for threads that start later, so that a call that overlaps with others
    leaves its number behind. OpenMP and MKL keep a number per thread; that is set here.

    Raises
    ------
    ForkError
        When a process that used several threads here was forked, and this is the child: OpenMP would wait for threads
        that the child does not have.
    """

    def __init__(self, n_threads: int):
        self._n_threads = n_threads

    def __enter__(self) -> None:
        import torch

        if self._n_threads > 1:
            _Forks.check()
            _Forks.used_threads = True
        self._before = torch.get_num_threads()  # also lets torch set this thread up, which would undo what follows
        self._mkl_before = _set_threads(self._n_threads, self._n_threads)

    def __exit__(self, *_: Any) -> None:
        _set_threads(self._before, self._mkl_before)


def use_one_thread() -> None:
    """Make torch compute what the calling thread starts in that thread alone, from now on."""
    import torch

    torch.get_num_threads()  # lets torch set this thread up, which would undo what follows
    _set_threads(1, 1)


class _Forks:
    """Whether OpenMP may wait for threads that a fork left behind."""

    used_threads = False
    left_behind = False

    @classmethod
    def check(cls) -> None:
        if cls.left_behind:
            raise ForkError(
                "A Transformer model was trained with several threads before this process was forked, and OpenMP does "
                "not survive a fork. Start the process by 'spawn' or 'forkserver', or set n_jobs=1."
            )

    @classmethod
    def forked(cls) -> None:
        cls.left_behind = cls.used_threads


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_Forks.forked)


def _set_threads(n_threads: int, n_mkl: int) -> int:
    """Set the calling thread's number of threads of OpenMP and of MKL (0: as OpenMP); return MKL's before."""
    openmp, mkl = _thread_setters()
    if openmp is not None:
        openmp(n_threads)
    return 0 if mkl is None else mkl(n_mkl)


@functools.cache
def _thread_setters() -> tuple[Any, Any]:
    """Return the functions of torch's own OpenMP and MKL; None where torch is built without."""
    import torch

    names = {"linux": "libtorch_cpu.so", "darwin": "libtorch_cpu.dylib", "win32": "torch_cpu.dll"}
    path = Path(torch.__file__).parent / "lib" / names.get(sys.platform, "libtorch_cpu.so")
    try:
        library = ctypes.CDLL(str(path))  # loaded already; its symbols include those of the libraries that it needs
    except OSError:
        return None, None
    return getattr(library, "omp_set_num_threads", None), getattr(library, "MKL_Set_Num_Threads_Local", None)
