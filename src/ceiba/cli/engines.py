"""Where a command's work is done: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ceiba.errors import InputError


@contextmanager
def open_engine(
    engine: str,
    *,
    workers: int | None = None,
    threads: int | None = None,
    work_dir: Path | None = None,
    cluster: Sequence[str] | None = None,
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
    cluster : sequence of str or None, default=None
        ``name=value`` each, the settings of a cluster.

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
        if cluster:
            raise InputError("--cluster is for --engine ray.")
        if work_dir is None:
            yield None
            return
        from ceiba.executors import LocalExecutor

        executor: Any = LocalExecutor(work_dir=work_dir)
    else:
        from ceiba.executors import RayExecutor

        settings = cluster_settings(cluster or (), workers=workers, threads=threads)
        executor = RayExecutor(address or None, work_dir=work_dir, **settings)
    try:
        executor.start()
        yield executor
    finally:
        executor.close()


def cluster_settings(given: Sequence[str], *, workers: int | None = None, threads: int | None = None) -> dict[str, Any]:
    """Return the settings of ``--cluster NAME=VALUE``, ``--workers`` and ``--threads`` as `RayExecutor` takes them.

    Raises
    ------
    InputError
        When a setting is unknown, given twice, or its value is not one it may have.
    """
    from ceiba._params import parse
    from ceiba._settings import declared
    from ceiba.executors.cluster_settings import ClusterSettings

    constraints = {name: each.constraints for name, each in declared(ClusterSettings).items()}
    shortcuts = {"n_workers": ("--workers", workers), "threads_per_worker": ("--threads", threads)}
    found = {name: value for name, (_, value) in shortcuts.items() if value is not None}
    for each in given:
        name, sign, text = (part.strip() for part in each.partition("="))
        if not sign or not name:
            raise InputError(f"--cluster takes NAME=VALUE, such as --cluster max_retries=5. Got {each!r}.")
        if name in found:
            option, value = shortcuts.get(name, ("", None))
            raise InputError(f"--cluster gives {name!r} more than once{f' ({option} sets it too)' if value else ''}.")
        found[name] = parse(name, text, constraints, "--engine ray")
    return found
