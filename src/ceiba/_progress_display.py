"""How progress is shown: bars on a terminal, a table of bars in a notebook, plain lines everywhere else."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TextIO

from ceiba.errors import InputTypeError

_EVERY = 30.0  # seconds between plain lines of one stage
_REFRESH = 0.2  # seconds between updates in a notebook


class Display(Protocol):
    """A progress callable, ``display(stage, done, total)``, closed at the end; a stage ends when another begins."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...

    def note(self, words: str) -> None: ...

    def close(self, *, complete: bool) -> None: ...


@contextmanager
def showing(progress: Any) -> Iterator[Callable[[str, int, int], Any] | None]:
    """Give the callable that a ``progress`` argument stands for.

    Parameters
    ----------
    progress : callable, bool or None
        None: bars in a notebook, nothing elsewhere. True: bars, or lines where there is no terminal. False: nothing.
    """
    if callable(progress):
        yield progress
        return
    if progress is not None and not isinstance(progress, bool):
        raise InputTypeError(f"The 'progress' parameter must be a callable, a bool or None. Got {progress!r}.")
    notebook = in_notebook()
    if not progress and not (progress is None and notebook):
        # a callable where a None would let an inner fit show its own
        yield _ignore if notebook else None
        return
    display: Display = NotebookBars() if notebook else TerminalBars() if sys.stderr.isatty() else PlainLines(sys.stderr)
    complete = False
    try:
        yield display
        complete = True
    finally:
        display.close(complete=complete)


def _ignore(stage: str, done: int, total: int) -> None:
    """Show nothing."""


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return False
    return type(shell).__name__ == "ZMQInteractiveShell" or "IPKernelApp" in getattr(shell, "config", {})


class TerminalBars:
    """Bars on standard error, one below the other, the current one moving."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._task: Any = None
        self._stage = ""
        self._bars.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage or self._task is None:
            self._finish()
            self._stage, self._task = stage, self._bars.add_task(stage, total=total or None)
        self._bars.update(self._task, completed=done, total=total or None)

    def note(self, words: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, description=f"{self._stage} ({words})")

    def close(self, *, complete: bool) -> None:
        if complete:
            self._finish()
        self._bars.stop()

    def _finish(self) -> None:
        """Fill the bar of the stage that has ended; not every stage reports its last step."""
        if self._task is not None:
            total = self._bars.tasks[-1].total or 1
            self._bars.update(self._task, completed=total, total=total)
        self._task = None


class PlainLines:
    """A line when a stage begins, and one now and then while it lasts.

    Parameters
    ----------
    stream : text file
    delay : float, default=0
        Seconds of work before the first line.
    held : int or None, default=None
        Print nothing of the first stages, so many, until another begins or the delay is over: an error while a file is
        read or options are checked then stands alone. None: the delay alone counts, and what was before it is left out.
    clock : callable, default=time.monotonic
        The time in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        delay: float = 0.0,
        held: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._stream, self._delay, self._held, self._clock = stream, delay, held, clock
        self._started = self._lined_at = clock()
        self._stage: str | None = None
        self._n_stages = 0
        self._note = ""
        self._waiting: list[str] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = self._clock()
        waits = now - self._started < self._delay
        begins = stage != self._stage
        if begins:
            self._stage, self._note = stage, ""
            self._n_stages += 1
        if waits and self._held is None:
            self._stage = None  # it begins when the delay is over
            return
        if begins or now - self._lined_at >= _EVERY:
            self._lined_at = now
            self._waiting.append(self._line(now, done, total))
        if waits and self._held is not None and self._n_stages <= self._held:
            return
        with suppress(OSError, ValueError):  # whoever read the lines has gone; the work goes on
            for line in self._waiting:
                print(line, file=self._stream, flush=True)
        self._waiting = []

    def _line(self, now: float, done: int, total: int) -> str:
        share = f"{100 * done // total}%" if total and done else ""
        words = ", ".join(filter(None, (share, self._note)))
        return f"[{timedelta(seconds=int(now - self._started))}] {self._stage}{': ' if words else ''}{words}"

    def note(self, words: str) -> None:
        self._note = words

    def close(self, *, complete: bool) -> None:
        pass


@dataclass
class _Row:
    stage: str
    started: float
    share: float = 0.0
    ended: float | None = None
    note: str = ""


class NotebookBars:
    """A table of bars in the output of a notebook's cell; it is one display that is updated."""

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._handle: Any = None
        self._drawn_at = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        begins = not self._rows or self._rows[-1].stage != stage
        if begins:
            self._finish()
            self._rows.append(_Row(stage, time.monotonic()))
        self._rows[-1].share = min(1.0, done / total) if total else 0.0
        if begins or time.monotonic() - self._drawn_at >= _REFRESH:
            self._draw()

    def note(self, words: str) -> None:
        if self._rows:
            self._rows[-1].note = words

    def close(self, *, complete: bool) -> None:
        if complete:
            self._finish()
        if self._rows:
            self._draw()

    def _finish(self) -> None:
        if self._rows:
            self._rows[-1].share, self._rows[-1].ended = 1.0, time.monotonic()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._drawn_at = time.monotonic()
        content = HTML(f"<table>{''.join(map(self._drawn, self._rows))}</table>")
        if self._handle is None:
            self._handle = display(content, display_id=True)
        else:
            self._handle.update(content)

    def _drawn(self, row: _Row) -> str:
        seconds = timedelta(seconds=int((row.ended or time.monotonic()) - row.started))
        name = html.escape(f"{row.stage} ({row.note})" if row.note else row.stage)
        return (
            f'<tr><td>{name}</td><td><progress value="{round(row.share, 3)}" max="1"></progress></td>'
            f"<td>{100 * row.share:.0f}%</td><td>{seconds}</td></tr>"
        )
