"""Large inputs of many pieces in files, which every worker maps."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceiba.errors import StorageError
from ceiba.io.tensors import read_tensors, replace_tensors


@dataclass(frozen=True)
class SharedFile:
    """An object whose arrays are in a file; `frame` is the rest of it, which is sent in memory.

    The frame is a pickle that never leaves the processes of one run: nothing on disk is a pickle.
    """

    path: Path
    frame: bytes

    def load(self) -> Any:
        """Return the object; its arrays are mapped."""
        arrays = read_tensors(self.path)
        return pickle.loads(self.frame, buffers=[arrays[f"{number:06}"] for number in range(len(arrays))])


def n_bytes(value: Any) -> int:
    """Return the bytes of the arrays in an object."""
    frame, buffers = _frame_and_buffers(value)
    return len(frame) + sum(buffer.nbytes for buffer in buffers)


def write_shared(value: Any, folder: Path) -> SharedFile:
    """Write the arrays of an object to a new file of a folder."""
    frame, buffers = _frame_and_buffers(value)
    arrays = {f"{number:06}": np.frombuffer(buffer, np.uint8) for number, buffer in enumerate(buffers)}
    path = folder / f"shared-{os.getpid()}-{os.urandom(4).hex()}.safetensors"
    try:
        replace_tensors(path, arrays)
    except OSError as error:
        raise StorageError(f"work_dir: {path} cannot be written", error) from error
    return SharedFile(path, frame)


def _frame_and_buffers(value: Any) -> tuple[bytes, list[memoryview]]:
    """Return what is left of an object without its arrays, and the bytes of the arrays, not copied."""
    buffers: list[pickle.PickleBuffer] = []
    frame = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return frame, [buffer.raw() for buffer in buffers]
