"""The command ``ceiba``. It starts light: what a command needs is imported when that command runs."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence

from ceiba.errors import CeibaError

USAGE_ERROR, INTERRUPTED = 2, 130


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and end the process.

    The exit code is 0; 2 where what the user gave cannot be used; 130 after Ctrl-C; 1 for anything else. Every error
    is one line on standard error, except for a bug of Ceiba's own, which shows where it is.

    Parameters
    ----------
    args : sequence of str, default None
        The words after ``ceiba``; None: those of the process.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Answers in a pipe are UTF-8 everywhere; half a surrogate pair, which has no bytes, becomes a JSON escape.
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: _say_warning(message)
            code = _run(args)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("\nInterrupted." if sys.stderr.isatty() else "Interrupted.", file=sys.stderr, flush=True)
        # What had to be cleaned up is; taking millions of objects apart would keep the user waiting for seconds.
        os._exit(INTERRUPTED)
    sys.exit(code)


def _run(args: Sequence[str] | None) -> int:
    import typer

    from ceiba.cli.app import app

    # typer's base class of such errors, whose module differs between its releases
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]
    try:
        code = app(args=args, prog_name="ceiba", standalone_mode=False)
        # Here rather than at exit, where a reader that has gone could only be reported as an ignored exception.
        sys.stdout.flush()
    except CeibaError as error:
        return _fail(str(error), USAGE_ERROR)
    except usage_error as error:
        return _fail(_usage_message(error), USAGE_ERROR)
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except MemoryError as error:
        return _fail(f"out of memory. {error}", 1)
    except OSError as error:
        return _fail(str(error), 1)
    return code if isinstance(code, int) else 0


def _say_warning(message: Warning | str) -> None:
    """Print a warning as one line, without the place in Ceiba's code that a user cannot change."""
    print("warning:", " ".join(str(message).split()), file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return code


def _usage_message(error: Exception) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "ceiba")
    return f"{message} See '{command} --help'."


def _forget_stdout() -> None:
    """Let the interpreter flush its standard output at exit without a reader, as after ``| head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
