"""PECOS's distributed XR-Linear; runs in every process of mpirun, under the interpreter of the peers.

usage: mpirun -n 2 PYTHON -m mpi4py pecos_mpi.py FEATURES MODEL THREADS OUT

The first process saves the model where worker.py finds it, and writes the seconds of the training to OUT as JSON.
"""

import json
import os
import sys
import time

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def main(features, path, threads, out):
    from pecos.distributed.comm.mpi_comm import MPI_COMM, MPIComm
    from pecos.distributed.xmc.base import DistClustering
    from pecos.distributed.xmc.xlinear.model import DistributedCPUXLinearModel as Distributed

    from systems import pecos

    DistClustering._divide_sub_cluster_jobs = _divide  # as released it needs NumPy before 1.24
    settings = pecos.SETTINGS
    shape = {"nr_splits": settings["splits"], "max_leaf_size": settings["leaf"], "threads": threads}
    solver = {
        "negative_sampling_scheme": settings["negatives"], "threshold": settings["threshold"],
        "Cp": settings["Cp"], "Cn": settings["Cn"], "threads": threads,
    }  # fmt: skip
    params = {
        "cluster_params": DistClustering.TrainParams.from_dict({**shape, "seed": settings["seed"]}, recursive=True),
        "train_params": Distributed.TrainParams.from_dict(solver, recursive=True),
        "pred_params": Distributed.PredParams.from_dict({}, recursive=True),
        "dist_params": Distributed.DistParams.from_dict({"threads": threads}),
    }
    X = sp.load_npz(os.path.join(features, "X_trn.npz")).astype(np.float32).tocsr()
    Y = sp.load_npz(os.path.join(features, "Y_trn.npz")).astype(np.float32).tocsc()
    MPI_COMM.Barrier()
    began = time.perf_counter()
    model = Distributed.train(dist_comm=MPIComm(), X=X, Y=Y, **params)
    MPI_COMM.Barrier()
    seconds = time.perf_counter() - began
    if MPI_COMM.Get_rank() == 0:
        pecos.save([model], path)
        with open(out, "w") as file:
            json.dump({"seconds": seconds, "processes": MPI_COMM.Get_size(), "versions": pecos.versions()}, file)


def _divide(clustering, assignments):
    """Share out parts of unequal length; NumPy no longer makes an array of them by itself."""
    parts = np.empty(len(assignments), object)
    parts[:] = assignments
    return [part.tolist() for part in np.array_split(parts, clustering._dist_comm.get_size())]


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
