"""Pieces of work on a Ray cluster, or in several processes of one machine."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from ceiba._progress import Progress
from ceiba._progress import stage as begin_stage
from ceiba._settings import keyword_settings, settings_from
from ceiba._shorten import one_line, shorten
from ceiba.errors import CeibaError, ClusterError, InputError
from ceiba.executors.cluster_settings import ClusterSettings
from ceiba.executors.executor import Arrays, Piece, PieceContext, PieceFunction
from ceiba.executors.failure import Failure
from ceiba.executors.nodes import check_room, host_and_port
from ceiba.executors.ray_cluster import Cluster, connect
from ceiba.executors.ray_train import run_together
from ceiba.executors.shared_files import SharedFile, n_bytes, write_shared
from ceiba.executors.work_folder import FinishedPieces, WorkFolder

_AHEAD = 4  # pieces for each worker that are submitted, or done and not yet taken
_FILES_FROM = 10**10  # bytes of shared inputs
_SMALL = 10**6  # bytes of an input that needs no file
_MOST_QUOTED = 400  # characters of an error of Ray


@keyword_settings(ClusterSettings)
class RayExecutor:
    """Runs pieces of work on a Ray cluster.

    Parameters
    ----------
    address : str or None, default=None
        ``host:port`` of a cluster, or "auto" for the one that this machine belongs to. "local": a cluster of this
        machine alone, which ends with the executor. None: the one that ``RAY_ADDRESS`` names, else "local".
    work_dir : path or None, default=None
        Keep finished pieces in this folder. A training that was stopped goes on from them.
    runtime_env : dict or None, default=None
        Ray's environment of the workers.
    {parameters}

    Notes
    -----
    A model does not depend on the number of workers, bit for bit. Where this process is connected to a cluster already,
    that one is used, and left connected.

    Examples
    --------
    A training on the cluster that this machine belongs to::

        with RayExecutor("auto", work_dir="/shared/work") as executor:
            model.fit(texts, labels, executor=executor)
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        work_dir: str | os.PathLike[str] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        **settings: Any,
    ):
        self.settings = settings_from(ClusterSettings, settings, type(self).__name__)
        if self.settings.share == "files" and work_dir is None:
            raise InputError('share="files" needs work_dir, a folder that all nodes see.')
        if address not in (None, "auto", "local"):
            host_and_port(str(address))
        self.address, self.runtime_env = address, runtime_env
        self.work_folder = None if work_dir is None else WorkFolder(work_dir)
        self._cluster: Cluster | None = None
        self._references: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._files: list[SharedFile] = []

    def __enter__(self) -> RayExecutor:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Connect to the cluster and check its nodes; does nothing where that was done.

        Raises
        ------
        ClusterError
            When there is no cluster at the address, a node does not answer in time, or versions of Python, Ray, Ceiba
            or NumPy differ between nodes.
        MissingExtraError
            When ray is not installed.
        """
        if self._cluster is not None:
            return
        if self.work_folder is not None:
            self.work_folder.prepare()
        threads, workers = self.settings.threads_per_worker, self.settings.n_workers
        cluster = connect(
            self.address,
            timeout=self.settings.connect_timeout,
            n_cpus=None if workers is None else workers * (threads or 1),
            object_store_memory=self.settings.object_store_memory,
            runtime_env=self.runtime_env,
        )
        cpus = cluster.cpus()
        if threads is None:
            threads = min(cpus) if workers is None else max(1, min(min(cpus), sum(cpus) // workers))
        room = sum(each // threads for each in cpus)
        if room < 1:
            if cluster.owned:
                cluster.ray.shutdown()
            raise ClusterError(f"No node of the cluster has {threads} processors; the largest has {max(cpus)}.")
        self._cluster, self._threads = cluster, threads
        self._workers = room if workers is None else min(workers, room)

    @property
    def n_workers(self) -> int:
        """The number of pieces that are done at once."""
        self.start()
        return self._workers

    @property
    def threads(self) -> int:
        """The threads of a piece."""
        self.start()
        return self._threads

    def close(self) -> None:
        """Remove what was shared, and end the connection where it was made here."""
        self._references.clear()
        for file in self._files:
            file.path.unlink(missing_ok=True)
        self._files.clear()
        cluster, self._cluster = self._cluster, None
        if cluster is not None and cluster.owned:
            cluster.ray.shutdown()

    def map(
        self,
        function: PieceFunction,
        pieces: Iterable[Piece],
        *,
        shared: Mapping[str, Any],
        stage: str,
        progress: Progress | None = None,
        gpu: bool = False,
    ) -> Iterator[Arrays]:
        """Call a function for each piece on the cluster, and yield the results in the order of the pieces."""
        self.start()
        assert self._cluster is not None
        finished = None if self.work_folder is None else self.work_folder.finished_pieces(function, shared)
        total = sum(piece.cost for piece in pieces) if isinstance(pieces, Sequence) else 0
        report = begin_stage(progress, stage, total)
        tasks = _Tasks(self._cluster.ray, self._remote(gpu), function, self._shared(shared), finished, self._threads)
        try:
            yield from tasks.in_order(pieces, _AHEAD * self._workers, report)
        finally:
            tasks.cancel()

    def together(
        self,
        function: PieceFunction,
        *,
        shared: Mapping[str, Any],
        stage: str,
        progress: Progress | None = None,
    ) -> Arrays:
        """Call a function in all workers at once by Ray Train; they share the work as those of torchrun do."""
        self.start()
        assert self._cluster is not None
        begin_stage(progress, stage, 0)
        ray = self._cluster.ray
        return run_together(
            ray,
            function,
            {name: ray.put(value) for name, value in shared.items()},
            n_workers=self._workers,
            n_threads=self._threads,
            gpus=self._gpus(),
            max_retries=self.settings.max_retries,
            start_timeout=self.settings.connect_timeout,
        )

    def _gpus(self) -> float:
        if self.settings.gpus_per_worker is not None:
            return self.settings.gpus_per_worker
        assert self._cluster is not None
        return 1.0 if self._cluster.has_gpu() else 0.0

    def _remote(self, gpu: bool) -> Any:
        assert self._cluster is not None
        return self._cluster.ray.remote(
            num_cpus=self._threads,
            num_gpus=self._gpus() if gpu else 0,
            max_retries=self.settings.max_retries,
            scheduling_strategy="SPREAD",
        )(run_piece)

    def _shared(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """Return a reference for each shared input; those of objects that live on are kept, so X is sent once."""
        assert self._cluster is not None
        known = {name: self._references[value] for name, value in shared.items() if self._known(value)}
        sizes = {name: n_bytes(value) for name, value in shared.items() if name not in known}
        total = sum(sizes.values())
        folder = None if self.work_folder is None else self.work_folder.path
        share = self.settings.share
        files = folder is not None and (share == "files" or (share == "auto" and total >= _FILES_FROM))
        if not files:
            check_room(
                total, self._cluster.nodes, cure='Start Ray with a larger --object-store-memory, or share="files".'
            )
        found = {}
        for name, value in shared.items():
            if name in known:
                found[name] = known[name]
            elif files and folder is not None and sizes[name] >= _SMALL:
                found[name] = file = write_shared(value, folder)
                self._files.append(file)
                self._remember(value, file)
            else:
                found[name] = reference = self._cluster.ray.put(value)
                self._remember(value, reference)
        return found

    def _known(self, value: Any) -> bool:
        try:
            return value in self._references
        except TypeError:  # cannot be hashed, or not be referred to weakly
            return False

    def _remember(self, value: Any, reference: Any) -> None:
        with suppress(TypeError):
            self._references[value] = reference


class _Tasks:
    """The tasks of one map."""

    def __init__(
        self,
        ray: Any,
        remote: Any,
        function: PieceFunction,
        shared: Mapping[str, Any],
        finished: FinishedPieces | None,
        n_threads: int,
    ):
        self._ray, self._remote, self._function = ray, remote, function
        self._names, self._references = list(shared), list(shared.values())
        self._finished, self._n_threads = finished, n_threads
        self._running: dict[Any, int] = {}  # task -> number of its piece

    def in_order(self, pieces: Iterable[Piece], ahead: int, report: Any) -> Iterator[Arrays]:
        """Yield the result of each piece, at most so many pieces ahead of what was taken."""
        waiting: deque[tuple[int, Piece]] = deque()
        results: dict[int, Arrays | Any] = {}
        by_number: dict[int, Piece] = {}
        remaining, done = enumerate(pieces), 0
        exhausted = False
        while True:
            while not exhausted and len(waiting) < ahead:
                entry = next(remaining, None)
                if entry is None:
                    exhausted = True
                    break
                number, piece = entry
                waiting.append(entry)
                by_number[number] = piece
                found = None if self._finished is None else self._finished.find(piece.arguments)
                if found is None:
                    self._running[self._submit(piece)] = number
                else:
                    results[number] = found
                    done += piece.cost
            if not waiting:
                return
            while waiting[0][0] not in results:
                ready, _ = self._ray.wait(list(self._running), num_returns=1)
                number = self._running.pop(ready[0])
                results[number] = self._take(ready[0], by_number[number])
                done += by_number[number].cost
                if report is not None:
                    report(done)
            number, _ = waiting.popleft()
            del by_number[number]
            yield results.pop(number)

    def _submit(self, piece: Piece) -> Any:
        return self._remote.remote(
            self._function, dict(piece.arguments), self._names, self._n_threads, *self._references
        )

    def _take(self, task: Any, piece: Piece) -> Arrays:
        """Return the result of a task; what a piece raised is raised here."""
        try:
            found = self._ray.get(task)
        except (self._ray.exceptions.RayTaskError, KeyboardInterrupt):
            raise
        except self._ray.exceptions.RayError as error:
            words = shorten(one_line(error), _MOST_QUOTED)
            raise ClusterError(f"{piece.name} was lost, and could not be done again: {words}") from error
        if isinstance(found, Failure):
            raise found.error
        if self._finished is not None:
            self._finished.keep(piece.arguments, found)
        return found

    def cancel(self) -> None:
        """Stop what still runs."""
        for task in self._running:
            with suppress(Exception):
                self._ray.cancel(task, force=True)
        self._running.clear()


def run_piece(
    function: PieceFunction, arguments: dict[str, Any], names: Sequence[str], n_threads: int, *shared: Any
) -> Arrays | Failure:
    """Do one piece of work; runs on a worker."""
    inputs = {
        name: value.load() if isinstance(value, SharedFile) else value
        for name, value in zip(names, shared, strict=True)
    }
    try:
        return function(**inputs, **arguments, context=PieceContext(n_threads=n_threads))
    except CeibaError as error:
        return Failure(error)
