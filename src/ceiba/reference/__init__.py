"""Slow, obvious twins of the fast routines, in plain Python and NumPy; tests compare the two."""
