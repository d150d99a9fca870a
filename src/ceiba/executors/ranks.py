"""Which of several processes this is: torchrun and Ray Train number those that train together."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Return whether this process has the rank 0, or works alone."""
    return int(os.environ.get("RANK", "0")) == 0
