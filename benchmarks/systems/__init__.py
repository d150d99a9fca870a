"""One file per system, all with the same functions; each runs in the interpreter that has the system.

SETTINGS            its settings, as its authors recommend them, which a run may change
versions()          of the system
prepare(X, Y, folder)                              optional: input files it needs, not counted as training
fit(X, Y, threads, settings, path, prepared)       -> model, {"tree": seconds, "training": seconds}
save(model, path), load(path, threads, settings)
predict_batch(model, X, k, threads, settings)      the k best labels of each row
ids(found, k)                                      optional: what that returned as ids, -1 where there are fewer
one(X, i), predict_one(model, row, k, settings)    a single row, on one thread
"""
