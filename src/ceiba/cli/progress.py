"""Progress of a long command on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceiba._progress_display import Display

_TEXTS_AT_ONCE = 1024
_SHORT = 5.0  # seconds in which a command says nothing where there is no terminal


class Stages:
    """Shows stages one below the other, the current one moving; to be used in a ``with`` block and called.

    Where standard error is no terminal it prints a line now and then. Called as the ``progress`` of a reader or an
    estimator: ``stages(stage, done, total)``. A stage ends when another begins.

    Parameters
    ----------
    quiet : bool, default=False
        Show nothing.
    eager : bool, default=False
        Where there is no terminal, print the first line with the third stage and not after five seconds only.
    """

    def __init__(self, *, quiet: bool = False, eager: bool = False):
        self._quiet, self._eager = quiet, eager
        self._display: Display | None = None

    def __enter__(self) -> Stages:
        from ceiba._progress_display import PlainLines, TerminalBars

        if not self._quiet:
            terminal = sys.stderr.isatty()
            self._display = (
                TerminalBars() if terminal else PlainLines(sys.stderr, delay=_SHORT, held=2 if self._eager else None)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._display is not None:
            self._display.close(complete=kind is None)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of a stage are done; a total of 0 is one not known."""
        if self._display is not None:
            self._display(stage, done, total)

    def note(self, words: str) -> None:
        """Show what the current stage has to tell besides how far it is."""
        if self._display is not None:
            self._display.note(words)


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
