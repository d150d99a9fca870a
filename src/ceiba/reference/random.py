"""The core's random generator."""

_MASK = 2**64 - 1


class Random:
    """A stream of random numbers that depends on a seed and on the place it is used for.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).

    Examples
    --------
    >>> [Random(0, 1, 2).below(100) for _ in range(3)] == [Random(0, 1, 2).below(100) for _ in range(3)]
    True
    """

    def __init__(self, seed: int, a: int, b: int = 0):
        state = _mix((seed + 0x9E3779B97F4A7C15) & _MASK)
        state = _mix(state ^ a)
        self._state = _mix(state ^ ((b + 0xD1B54A32D192ED03) & _MASK))

    def next(self) -> int:
        """Return 64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        return _mix(self._state)

    def below(self, n: int) -> int:
        """Return a number from 0 to n - 1."""
        return (self.next() >> 32) * n >> 32


def _mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31
