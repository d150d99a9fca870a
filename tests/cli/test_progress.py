"""Progress bars: every stage to its end on a terminal, and nothing at all elsewhere."""

from __future__ import annotations

import io
import re

from ceiba.cli.progress import Counted, Stages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, calls, **options) -> str:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Stages(**options) as stages:
        for call in calls:
            stages(*call)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())


CALLS = [("reading", 0, 50), ("reading", 20, 50), ("level [1/2]", 3, 7), ("level [1/2]", 0, 0), ("saving", 0, 0)]


def test_every_stage_ends_full(monkeypatch):
    last = shown(monkeypatch, CALLS).rsplit("reading", 1)[1].splitlines()
    assert [line.split()[0] for line in last[1:3]] == ["level", "saving"]
    assert "[1/2]" in last[1]
    assert all("100%" in line for line in last[:3])


def test_stages_are_not_mixed_up_when_a_name_comes_back(monkeypatch):
    text = shown(monkeypatch, [("reading", 1, 2), ("fitting", 1, 2), ("reading", 1, 2)])
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["reading", "fitting", "reading"]


def test_silence_where_nobody_looks(monkeypatch, capsys):
    assert shown(monkeypatch, CALLS, quiet=True) == ""
    monkeypatch.undo()
    with Stages() as stages:
        for call in CALLS:
            stages(*call)
    assert capsys.readouterr() == ("", "")


def test_counted_texts_tell_how_far_they_are():
    calls = []
    texts = Counted([str(i) for i in range(2500)], lambda *call: calls.append(call))
    assert len(texts) == 2500
    assert list(texts) == list(texts) == [str(i) for i in range(2500)]
    assert calls == [("features", row, 2500) for row in (0, 1024, 2048)] * 2
