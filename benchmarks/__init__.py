"""Ceiba beside its peers: the same features, the same threads, in turn, each in a process of its own."""
