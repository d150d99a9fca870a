"""What `random_state` stands for, as scikit-learn has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ceiba._params import Exactly, Instance, Interval
from ceiba.errors import InputError

RANDOM_STATE = [
    Interval(int, 0, 2**32 - 1),
    Exactly(None),
    Instance("a RandomState or Generator of NumPy", np.random.RandomState, np.random.Generator),
]


def seed_from(random_state: Any, *, shared: bool = False) -> int:
    """Return the seed that `random_state` stands for: an int itself, otherwise one that is drawn.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        None draws from NumPy's global random numbers, which differ from run to run unless ``numpy.random.seed`` was
        called.
    shared : bool, default=False
        Whether several processes need the same seed, which only an int gives.

    Raises
    ------
    InputError
        When the seed is shared and `random_state` is no int.
    """
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    if shared:
        raise InputError("random_state must be an int where several processes train: all need the same one.")
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**32, dtype=np.uint64))
