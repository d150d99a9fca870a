"""A progress bar on standard error for every stage of a long command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

_TEXTS_AT_ONCE = 1024


class Stages:
    """Shows stages one below the other, the current one moving; to be used in a ``with`` block and called.

    It stays silent where standard error is not a terminal, or when told to. Called as the ``progress`` of a reader or
    an estimator: ``stages(stage, done, total)``. A stage ends when another begins.
    """

    def __init__(self, *, quiet: bool = False):
        self._bars: Any = None
        self._task: Any = None
        self._stage = ""
        if quiet or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        self._bars = Progress(*columns, console=Console(stderr=True))

    def __enter__(self) -> Stages:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars is None:
            return
        if kind is None:
            self._finish()
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of a stage are done; a total of 0 is one not known."""
        if self._bars is None:
            return
        if stage != self._stage or self._task is None:
            self._finish()
            self._stage, self._task = stage, self._bars.add_task(stage, total=total or None)
        self._bars.update(self._task, completed=done, total=total or None)

    def note(self, words: str) -> None:
        """Show what the current stage has to tell besides how far it is."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, description=f"{self._stage} ({words})")

    def _finish(self) -> None:
        """Fill the bar of the stage that has ended; not every stage reports its last step."""
        if self._task is not None:
            total = self._bars.tasks[-1].total or 1
            self._bars.update(self._task, completed=total, total=total)
        self._task = None


class Counted:
    """Texts that tell how many of them have been read, for a vectorizer that does not."""

    def __init__(self, texts: Any, progress: Callable[[str, int, int], Any], stage: str = "features"):
        self._texts, self._progress, self._stage = texts, progress, stage

    def __len__(self) -> int:
        return len(self._texts)

    def __iter__(self) -> Iterator[str]:
        for row, text in enumerate(self._texts):
            if row % _TEXTS_AT_ONCE == 0:
                self._progress(self._stage, row, len(self))
            yield text
