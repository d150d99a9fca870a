"""The protocol of executors, and the executor of this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from ceiba._progress import Progress
from ceiba.errors import InputTypeError
from ceiba.executors.work_folder import WorkFolder

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class PieceContext:
    """What a piece of work may use where it is done.

    Attributes
    ----------
    n_threads : int or None
        Threads of this piece; None: as many as the caller's settings say.
    progress : callable or None
        ``progress(stage, done, total)``; None where nobody in this process listens.
    """

    n_threads: int | None = None
    progress: Progress | None = None

    def threads(self, default: int) -> int:
        """Return the number of threads of this piece."""
        return default if self.n_threads is None else self.n_threads


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes
    ----------
    name : str
        Its name in messages.
    arguments : mapping of str to object
        Keyword arguments of the function, for this piece alone.
    cost : int, default=1
        Its share of the work, in any unit; progress counts these.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    cost: int = 1


# A pure function at the top of a module: the same arguments give the same arrays, wherever it runs.
PieceFunction = Callable[..., Arrays]


class Executor(Protocol):
    """Runs independent pieces of work, in this process or on a cluster; each piece may use several threads."""

    work_folder: WorkFolder | None

    @property
    def n_workers(self) -> int:
        """The number of pieces that are done at once."""
        ...

    @property
    def threads(self) -> int | None:
        """The threads of a piece; None: as many as the settings of what is done say."""
        ...

    def start(self) -> None:
        """Connect and check; an executor that started already does nothing.

        Raises
        ------
        ClusterError
            When the work cannot be done there. Nothing has been done then.
        """
        ...

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
        """Call a function for each piece, and yield the results in the order of the pieces.

        Closing the iterator cancels what is not done.

        Parameters
        ----------
        function : PieceFunction
            Is called as ``function(**shared, **piece.arguments, context=context)``.
        pieces : iterable of Piece
            Read as they are needed, so a large input need not be in memory.
        shared : mapping of str to object
            Arguments that are the same for all pieces; they are sent to each machine once.
        stage : str
            What progress calls this work.
        progress : callable or None, default=None
            ``progress(stage, done, total)``.
        gpu : bool, default=False
            Whether a piece has use for a GPU.
        """
        ...

    def together(
        self,
        function: PieceFunction,
        *,
        shared: Mapping[str, Any],
        stage: str,
        progress: Progress | None = None,
    ) -> Arrays:
        """Call a function in all workers at once, and return what the first one returns.

        The workers are joined as the processes that torchrun starts, so each does a part of the work.

        Parameters
        ----------
        function : PieceFunction
            Is called as ``function(**shared, context=context)``.
        shared : mapping of str to object
            Its arguments, the same in all workers.
        stage : str
            What progress calls this work.
        progress : callable or None, default=None
            ``progress(stage, done, total)``.

        Returns
        -------
        dict of str to ndarray
            What the worker of rank 0 returned.
        """
        ...

    def close(self) -> None:
        """Give back what `start` took."""
        ...


def start_executor(executor: Executor) -> None:
    """Start what was given as the ``executor`` argument; InputTypeError where it is none."""
    complete = all(callable(getattr(executor, name, None)) for name in ("start", "map", "together", "close"))
    if isinstance(executor, type) or not complete:
        raise InputTypeError(
            f"executor must be None or an executor, such as LocalExecutor() or RayExecutor(). Got {executor!r}."
        )
    executor.start()


class LocalExecutor:
    """Does one piece after the other in this process.

    Parameters
    ----------
    work_dir : path or None, default=None
        Keep finished pieces in this folder, so that a training that was stopped goes on from them.

    Examples
    --------
    >>> from ceiba import XRLinear
    >>> from ceiba.executors import LocalExecutor
    >>> texts, labels = ["red apple", "green car", "red car"], [["fruit"], ["vehicle"], ["vehicle"]]
    >>> model = XRLinear(n_trees=2).fit(texts, labels, executor=LocalExecutor())
    """

    n_workers = 1
    threads: int | None = None  # as many as the settings of what is done say

    def __init__(self, *, work_dir: str | os.PathLike[str] | None = None):
        self.work_folder = None if work_dir is None else WorkFolder(work_dir)

    def start(self) -> None:
        """Check that finished pieces can be kept."""
        if self.work_folder is not None:
            self.work_folder.prepare()

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
        """Call a function for each piece; progress is what the pieces themselves report."""
        context = PieceContext(progress=progress)
        finished = None if self.work_folder is None else self.work_folder.finished_pieces(function, shared)
        for piece in pieces:
            found = None if finished is None else finished.find(piece.arguments)
            if found is None:
                found = function(**shared, **piece.arguments, context=context)
                if finished is not None:
                    finished.keep(piece.arguments, found)
            yield found

    def together(
        self,
        function: PieceFunction,
        *,
        shared: Mapping[str, Any],
        stage: str,
        progress: Progress | None = None,
    ) -> Arrays:
        """Call a function in this process alone."""
        return function(**shared, context=PieceContext(progress=progress))

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
