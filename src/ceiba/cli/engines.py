"""Where a command's work is done: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ceiba.errors import InputError


@contextmanager
def open_engine(
    engine: str, *, workers: int | None = None, threads: int | None = None, work_dir: Path | None = None
) -> Iterator[Any]:
    """Yield the executor that ``--engine`` names, connected and checked; None where no executor is needed.

    Parameters
    ----------
    engine : str
        "local", "ray" or "ray:ADDRESS".
    workers, threads : int or None, default=None
        Pieces at once, and threads of each.
    work_dir : Path or None, default=None
        Where finished pieces are kept.

    Raises
    ------
    InputError
        When there is no such engine, or an option does not fit it.
    ClusterError
        When the cluster cannot do the work.
    """
    name, colon, address = engine.partition(":")
    if name not in ("local", "ray") or (colon and (name != "ray" or not address)):
        raise InputError(
            f"--engine is local, ray or ray:ADDRESS, such as ray:auto or ray:10.0.0.1:6379. Got {engine!r}."
        )
    if name == "local":
        if workers is not None:
            raise InputError("--workers is for --engine ray; --threads sets the threads of this process.")
        if work_dir is None:
            yield None
            return
        from ceiba.executors import LocalExecutor

        executor: Any = LocalExecutor(work_dir=work_dir)
    else:
        from ceiba.executors import RayExecutor

        executor = RayExecutor(address or None, n_workers=workers, threads_per_worker=threads, work_dir=work_dir)
    try:
        executor.start()
        yield executor
    finally:
        executor.close()
