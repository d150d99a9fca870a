"""The pictures of the documentation are drawn from the committed rows and a real model."""

import pytest

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow

from benchmarks.figures import NAMES, SETS, draw_systems, draw_tree, measured  # noqa: E402


def test_every_system_has_its_point(tmp_path):
    drawn = draw_systems(tmp_path / "systems.svg").read_text(encoding="utf-8")
    for data in SETS:
        assert set(measured(data)) == set(NAMES)
    assert all(drawn.count(name) >= 2 * len(SETS) for name in NAMES.values())


def test_the_tree_leads_to_the_answer(tmp_path):
    pytest.importorskip("simple_icd_10_cm")
    drawn = draw_tree(tmp_path / "tree.svg").read_text(encoding="utf-8")
    assert "W59 Contact with other nonvenomous reptiles" in drawn
    assert "W00" in drawn
