"""A cluster of three nodes of this machine: nodes and drivers that die, and what is refused before any work."""

import random
import threading
import time

import pytest

from ceiba import XRLinear
from ceiba.executors import RayExecutor

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray

MEMORY = 150 * 2**20
KILLS = int(os.environ.get("CEIBA_KILLS", "20"))
SETTINGS = {"n_trees": 5, "random_state": 0, "branching_factor": 8, "max_leaf_size": 20}


class ThreeNodes:
    """A head and two nodes with a processor each; one of the two may be killed, and is replaced."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add(), self.add()]
        self.cluster.wait_for_nodes()

    def add(self):
        return self.cluster.add_node(num_cpus=1, object_store_memory=MEMORY)

    def kill_one(self, number):
        self.cluster.remove_node(self.nodes.pop(number), allow_graceful=False)

    def mend(self):
        while len(self.nodes) < 2:
            self.nodes.append(self.add())
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="module")
def nodes():
    found = ThreeNodes()
    yield found
    ray.shutdown()
    found.cluster.shutdown()


@pytest.fixture(scope="module")
def problem(make_problem):
    return make_problem(2500, 300, 400, seed=1)


@pytest.fixture(scope="module")
def expected(problem, saved_bytes):
    return saved_bytes(XRLinear(**SETTINGS).fit(problem.X, problem.Y))


def killing(nodes, after, number):
    """Start a thread that kills a node after so many seconds."""

    def kill():
        time.sleep(after)
        nodes.kill_one(number)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_training_survives_a_node_killed_at_random_moments(nodes, problem, expected, saved_bytes):
    draw = random.Random(0)
    with RayExecutor(nodes.cluster.address) as executor:
        assert executor.n_workers == 3
        started = time.perf_counter()
        assert saved_bytes(XRLinear(**SETTINGS).fit(problem.X, problem.Y, executor=executor)) == expected
        seconds = time.perf_counter() - started
        for number in range(KILLS):
            thread = killing(nodes, draw.uniform(0, seconds), number % 2)
            try:
                model = XRLinear(**SETTINGS).fit(problem.X, problem.Y, executor=executor)
            finally:
                thread.join()
                nodes.mend()
            assert saved_bytes(model) == expected, number
