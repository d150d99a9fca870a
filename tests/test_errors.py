"""Errors cross processes: a worker's error is the caller's, with all that it says."""

import errno
import inspect
import pickle

import pytest

from ceiba import errors

MADE = {
    "StorageError": lambda: errors.StorageError("t cannot be read", OSError(errno.EACCES, "no", "t"), "Look."),
    "MissingExtraError": lambda: errors.MissingExtraError("ray", "ray", "RayExecutor"),
    "RowError": lambda: errors.RowError("X holds NaN in row 3.", argument="X", row=3, reason="holds NaN."),
}
KINDS = [name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CeibaError)]


@pytest.mark.parametrize("name", KINDS)
def test_an_error_is_the_same_after_a_pickle(name):
    error = MADE.get(name, lambda: getattr(errors, name)("words"))()
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert str(found) == str(error)
    names = ("row", "reason", "argument", "errno", "filename")
    assert [getattr(found, each, None) for each in names] == [getattr(error, each, None) for each in names]
