"""What `fit` shows: a bar in a notebook, nothing in a script unless asked, plain lines where there is no terminal."""

from __future__ import annotations

import io
import sys
import types

import pytest

from ceiba import XRLinear
from ceiba._progress_display import PlainLines

TEXTS = ["red apple", "green pear", "red car", "blue car"] * 4
LABELS = [["red"], ["fruit"], ["red", "car"], ["car"]] * 4


class ZMQInteractiveShell:
    """What Jupyter's kernel has for a shell, here without any configuration."""


SHELLS = types.SimpleNamespace(config={"IPKernelApp": {}}), ZMQInteractiveShell()


@pytest.fixture(params=SHELLS)
def notebook(request, monkeypatch):
    """A notebook kernel as IPython presents it; returns what was displayed, newest version of each display."""
    shown = []

    class Handle:
        def __init__(self, at):
            self.at = at

        def update(self, content):
            shown[self.at] = content.data

    class HTML:
        def __init__(self, data):
            self.data = data

        def _repr_html_(self):
            return self.data

    def display(content, display_id=None):
        shown.append(content.data)
        return Handle(len(shown) - 1)

    ipython, shell = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: request.param
    shell.display, shell.HTML = display, HTML
    ipython.display = shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shell)
    return shown


def test_bar_in_a_notebook(notebook, capsys):
    XRLinear().fit(TEXTS, LABELS)
    assert len(notebook) == 1  # one display that is updated
    assert notebook[0].count("<progress") >= 2
    assert "features" in notebook[0]
    assert 'value="1.0"' in notebook[0]
    assert 'value="0.0"' not in notebook[0]
    assert capsys.readouterr() == ("", "")


def test_notebook_can_be_told_to_be_silent(notebook):
    XRLinear().fit(TEXTS, LABELS, progress=False)
    assert notebook == []


def test_callable_takes_the_place_of_the_bar(notebook):
    calls = []
    XRLinear().fit(TEXTS, LABELS, progress=lambda *call: calls.append(call))
    assert notebook == []
    assert calls


def test_failed_fit_leaves_its_bar_where_it_was(notebook):
    with pytest.raises(ValueError, match="rows"):
        XRLinear().fit(TEXTS, [["red"]] * 3)


def test_silent_in_a_terminal_of_ipython(monkeypatch, capfd):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(config={})
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    XRLinear().fit(TEXTS, LABELS)
    assert capfd.readouterr() == ("", "")


def test_silent_in_a_script(capfd):
    XRLinear().fit(TEXTS, LABELS)
    assert capfd.readouterr() == ("", "")


def test_script_that_asks(capsys):
    XRLinear().fit(TEXTS, LABELS, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "features" in err


def test_wrong_values():
    from ceiba.errors import InputTypeError

    with pytest.raises(InputTypeError, match="progress"):
        XRLinear().fit(TEXTS, LABELS, progress="yes")


def test_stages_and_a_line_now_and_then(monkeypatch):
    now = [0.0]
    stream = io.StringIO()
    lines = PlainLines(stream, clock=lambda: now[0])
    for second, stage, done in (
        (0, "reading", 0),
        (1, "reading", 5),
        (2, "level 1", 0),
        (20, "level 1", 2),
        (40, "level 1", 5),
    ):
        now[0] = second
        lines(stage, done, 10)
    lines.note("loss 0.3")
    now[0] = 100
    lines("level 1", 9, 10)
    written = stream.getvalue().splitlines()
    assert [line.split("]")[1].split(":")[0].strip() for line in written] == [
        "reading",
        "level 1",
        "level 1",
        "level 1",
    ]
    assert "50%" in written[2]
    assert "90%" in written[3]
    assert "loss 0.3" in written[3]


def test_short_work_is_silent_when_so_asked():
    now = [0.0]
    stream = io.StringIO()
    lines = PlainLines(stream, delay=5, clock=lambda: now[0])
    lines("reading", 0, 10)
    now[0] = 4
    lines("predicting", 0, 10)
    assert stream.getvalue() == ""
    now[0] = 6
    lines("predicting", 5, 10)
    assert "predicting" in stream.getvalue()


def test_reader_that_has_gone_does_not_end_the_work():
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    lines = PlainLines(Gone())
    lines("reading", 0, 10)
    lines("level", 0, 0)
    closed = io.StringIO()
    closed.close()
    PlainLines(closed)("reading", 0, 10)


def test_first_stages_may_be_held_back():
    now = [0.0]
    stream = io.StringIO()
    lines = PlainLines(stream, delay=5, held=2, clock=lambda: now[0])
    for stage in ("reading", "reading", "features"):
        lines(stage, 5, 10)
        assert stream.getvalue() == ""
    lines("level", 0, 10)
    assert [line.split()[1].strip(":") for line in stream.getvalue().splitlines()] == ["reading", "features", "level"]
    stream = io.StringIO()
    lines = PlainLines(stream, delay=5, held=2, clock=lambda: now[0])
    lines("reading", 5, 10)
    now[0] = 6
    lines("reading", 6, 10)
    assert "reading" in stream.getvalue()
