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
    """An object whose arrays are in a file, and whose remains travel with this reference, in memory."""

    path: Path
    frame: bytes

    def load(self) -> Any:
        """Return the object; its arrays are mapped."""
        arrays = read_tensors(self.path)
        return pickle.loads(self.frame, buffers=[arrays[f"{number:06}"] for number in range(len(arrays))])


def n_bytes(value: Any) -> int:
    """Return the bytes of the arrays in an object."""
    buffers: list[pickle.PickleBuffer] = []
    frame = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(frame) + sum(buffer.raw().nbytes for buffer in buffers)


def write_shared(value: Any, folder: Path) -> SharedFile:
    """Write the arrays of an object to a new file of a folder."""
    buffers: list[pickle.PickleBuffer] = []
    frame = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    arrays = {f"{number:06}": np.frombuffer(buffer.raw(), np.uint8) for number, buffer in enumerate(buffers)}
    path = folder / f"shared-{os.getpid()}-{os.urandom(4).hex()}.safetensors"
    try:
        replace_tensors(path, arrays)
    except OSError as error:
        raise StorageError(f"work_dir: {path} cannot be written", error) from error
    return SharedFile(path, frame)
