"""The compiled core, in the build that suits this processor.

A wheel has a build per x86-64 level (v2, v3, v4), an install from source the one of the machine that built it. Where
there are no levels there is one build. Setting the environment
variable ``CEIBA_ISA`` to one of ``v2``, ``v3``, ``v4`` picks a build by hand.
"""

import importlib
import os
from types import ModuleType

_BUILDS = {0: ["base"], 1: [], 2: ["v2"], 3: ["v3", "v2"], 4: ["v4", "v3", "v2"]}


def _load() -> tuple[ModuleType, str]:
    level = importlib.import_module("ceiba._native.cpu").level()
    possible = _BUILDS[level]
    wanted = os.environ.get("CEIBA_ISA")
    if wanted and wanted not in possible:
        raise ImportError(f"CEIBA_ISA={wanted} is not a build that this processor runs; it runs {possible}")
    for isa in [wanted] if wanted else possible:
        try:
            return importlib.import_module(f"ceiba._native.core_{isa}"), isa
        except ModuleNotFoundError:
            continue
    raise ImportError(
        f"no build of ceiba's core for this processor (x86-64 level {level}, tried {possible}); "
        "ceiba needs x86-64-v2 or newer. An install from source has the builds it was made with; all levels come with "
        "pip install . --config-settings=cmake.define.CEIBA_ISAS=all"
    )


core, isa = _load()
