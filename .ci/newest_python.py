"""Print the newest released Python from 3.11 on that this machine has, on PATH or under pyenv."""

import os
import re
import subprocess
import sys
from pathlib import Path

ASK = (
    "import sys, venv, ensurepip, sysconfig; "
    "print(*sys.version_info, bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)
OLDEST = (3, 11)


def candidates():
    """Yield the interpreters worth asking, this one first."""
    yield Path(sys.executable)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from root.glob("versions/*/bin/python3")
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        if "shims" not in folder:  # a shim runs whatever version is chosen where it is called
            yield from (path for path in Path(folder).glob("python3.*") if re.fullmatch(r"python3\.\d+", path.name))


def version(python):
    """Return the version as a tuple, or None where it will not do."""
    try:
        answer = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    if answer.returncode != 0:
        return None
    major, minor, micro, level, _, free_threaded = answer.stdout.split()
    if level != "final" or free_threaded == "True" or (int(major), int(minor)) < OLDEST:
        return None
    return int(major), int(minor), int(micro)


def main():
    """Print its path."""
    found = {python: version(python) for python in candidates()}
    usable = {python: number for python, number in found.items() if number is not None}
    if not usable:
        sys.exit("no Python 3.11 or newer was found")
    print(max(usable, key=lambda python: usable[python]))


if __name__ == "__main__":
    main()
