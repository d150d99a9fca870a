"""The settings of a Ray cluster, declared once for `RayExecutor` and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from ceiba._params import COUNT, NOT_NEGATIVE, Exactly, Interval, Options, setting


@dataclass(frozen=True)
class ClusterSettings:
    """How work is done on a cluster."""

    n_workers: int | None = setting(
        None,
        COUNT,
        Exactly(None),
        doc="Pieces that are done at once. None: as many as the cluster has room for.",
    )
    threads_per_worker: int | None = setting(
        None,
        COUNT,
        Exactly(None),
        doc="Threads, and so processors, of a piece. None: all processors of the smallest node.",
    )
    gpus_per_worker: float | None = setting(
        None,
        NOT_NEGATIVE,
        Exactly(None),
        doc="GPUs of a piece that has use for one. None: one, where the cluster has any.",
    )
    max_retries: int = setting(
        3, Interval(int, 0, None), doc="How often a piece is done again after its worker or its node died."
    )
    share: str = setting(
        "auto",
        Options("auto", "objects", "files"),
        doc='How X and Y reach the workers. "objects": through the object store of each node. "files": through files '
        'in `work_dir`, which all nodes must see; workers map them. "auto": files from 10 GB on, where there is a '
        "`work_dir`.",
    )
    object_store_memory: int | None = setting(
        None, COUNT, Exactly(None), doc="Bytes of the object store of a cluster that is started here."
    )
    connect_timeout: float = setting(
        60.0,
        NOT_NEGATIVE,
        doc="The longest wait in seconds for the cluster, and then for a first answer of its nodes.",
    )
