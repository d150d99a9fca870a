"""Progress of long work, stage by stage."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Progress = Callable[[str, int, int], Any]  # progress(stage, done, total)
Report = Callable[[int], None]  # report(done), for one stage


_P = ParamSpec("_P")
_T = TypeVar("_T")


def shows_progress(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let a method's keyword ``progress`` be a callable, a bool or None; the method itself gets a callable or None.

    None shows bars in a notebook and nothing elsewhere, True shows bars or lines everywhere, False nothing.
    """

    @functools.wraps(method)
    def shown(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        from ceiba._progress_display import showing  # not needed to import ceiba

        with showing(kwargs.pop("progress", None)) as progress:
            kwargs["progress"] = progress
            return method(*args, **kwargs)

    return shown


def stage(progress: Progress | None, name: str, total: int) -> Report | None:
    """Bind a stage's name and size to a progress callable; report its start."""
    if progress is None:
        return None
    progress(name, 0, total)
    return lambda done: progress(name, min(done, total), total)


def stage_with_notes(progress: Progress | None, name: str, total: int) -> Callable[[int, str], None] | None:
    """Bind a stage as `stage` does, for work that reports a note too. A progress with a method ``note`` receives it."""
    report = stage(progress, name, total)
    if report is None:
        return None
    show_note = getattr(progress, "note", None)

    def report_with_note(done: int, note: str) -> None:
        if show_note is not None:
            show_note(note)
        report(done)

    return report_with_note
