"""The data sets of the tables in docs/, each built from a public source by a script of its own."""

from __future__ import annotations

from benchmarks.sets import debian, gnd, icd, yso
from benchmarks.sets.building import SetInfo

SETS: dict[str, SetInfo] = {info.name: info for info in (debian.INFO, yso.INFO, gnd.INFO, icd.INFO)}

__all__ = ["SETS", "SetInfo"]
