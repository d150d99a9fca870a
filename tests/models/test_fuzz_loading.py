"""Whatever the files of a model hold, loading gives a model that answers or a ModelFormatError, never a crash.

The checksums are made anew after every change: what is tested is what stands behind them.
"""

import contextlib
import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from tests.model_folders import reseal

from ceiba import LabelTree, XRLinear, load
from ceiba.errors import CeibaError, ModelFormatError
from ceiba.io import current_generation

LIGHT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEAVY = settings(LIGHT, max_examples=5000)

TEXTS = [f"w{i % 7} w{i % 11} v{i % 5}" for i in range(60)]
LABELS = [[f"l{i % 23}", f"m{i % 3}"] for i in range(60)]
KINDS = {
    "float16": {"branching_factor": 3, "max_leaf_size": 4},
    "float32": {"branching_factor": 3, "max_leaf_size": 4, "weight_dtype": "float32", "weight_threshold": 0.0},
    "float8": {"max_leaf_size": 10, "weight_dtype": "float8", "combine": "sigmoid", "n_trees": 2},
    "one level": {"max_leaf_size": 100, "vectorizer": None},
    "wide": {"max_leaf_size": 300, "vectorizer": None, "weight_threshold": 0.2, "combine": "sigmoid"},
    "overlapping": {"tree": LabelTree([[0, 2], [0, 13, 29]], [*range(13), *range(10, 26)]), "weight_dtype": "float32"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_problem):
    """Save a model of every kind."""
    found = {}
    for name, parameters in KINDS.items():
        folder = tmp_path_factory.mktemp("models") / "model"
        if name == "one level":
            model = XRLinear(**parameters).fit(np.eye(20), [[i, 20 + i % 3] for i in range(20)])
        elif name == "wide":
            problem = make_problem(300, 40, 280)
            model = XRLinear(**parameters, label_embedding=np.random.default_rng(0).random((280, 3)))
            model.fit(problem.X, problem.Y)
        else:
            model = XRLinear(**parameters).fit(TEXTS, LABELS)
        model.save(folder)
        found[name] = folder
    return found


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """Let no damaged size pass for a size: a gigabyte more than now is all there is."""
    resource = pytest.importorskip("resource")
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class Copy:
    """A copy of a model's folder whose checksums follow its files."""

    def __init__(self, source, target):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        self.folder, self.files = target, current_generation(target)

    def seal(self):
        with contextlib.suppress(ValueError, AttributeError):  # model.json itself was changed beyond reading
            reseal(self.folder)

    def try_out(self):
        """Load, and use what was loaded in every way."""
        self.seal()
        try:
            model = load(self.folder)
        except ModelFormatError as error:
            model, message = None, str(error)
        if model is None:
            assert str(self.folder) in message
        else:
            self.use(model)

    def use(self, model):
        X = np.random.default_rng(0).random((20, model.n_features_in_)) if model.n_features_in_ < 10**5 else None
        texts = TEXTS[:20] if model.vectorizer_ is not None else X
        candidates = [model.classes_[:5].tolist()] * 20
        for call in (
            lambda: model.predict_topk(X, k=5),
            lambda: model.predict_topk(X[:2], k=5),
            lambda: model.predict_topk(texts, k=3, beam_size=1),
            lambda: model.decision_function(X, beam_size=10**9),
            lambda: model.score_labels(X, candidates),
            lambda: str(model.explain(X[:1], model.classes_[0])),
            lambda: [tree.to_text() for tree in model.trees_],
            lambda: [layer.n_weights for partition in model.partitions_ for layer in partition.layers],
        ):
            try:
                call()
            except CeibaError:
                continue


@pytest.fixture
def copy_of(folders, tmp_path):
    return lambda name: Copy(folders[name], tmp_path / "copy")


def bytes_of_files(copy_of, data):
    copy = copy_of(data.draw(st.sampled_from(list(KINDS)), label="kind"))
    names = sorted(path.name for path in copy.files.iterdir())
    path = copy.files / data.draw(st.sampled_from(names), label="file")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["flip", "set", "cut", "insert", "repeat"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "set" if at < len(content):
                content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, ord("9"), ord('"')]))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 64))]
            case "insert":
                content[at:at] = data.draw(st.binary(min_size=1, max_size=16))
            case "repeat":
                content[at:at] = content[at : at + 32]
    path.write_bytes(content)
    copy.try_out()


VALUES = [
    0,
    1,
    2,
    -1,
    7,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    1000,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**32 - 1,
    2**63 - 1,
    -(2**31),
]
CHANGES = ["value", "value", "value", "many", "swap", "shorter", "longer", "gone", "type"]
ODD = [0.0, -0.0, 1e-45, 65504.0, 3e38, -3e38, np.inf, -np.inf, np.nan]


def values_of_arrays(copy_of, data):
    copy = copy_of(data.draw(st.sampled_from(list(KINDS)), label="kind"))
    path = copy.files / data.draw(st.sampled_from(sorted(p.name for p in copy.files.glob("*.safetensors"))))
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(arrays)), label="array")
        array = arrays[name]
        match data.draw(
            st.sampled_from(["value", "value", "value", "many", "swap", "shorter", "longer", "gone", "type"])
        ):
            case "value" if array.size:
                at = data.draw(st.integers(0, array.size - 1))
                array.reshape(-1)[at] = value_for(array.dtype, data)
            case "many" if array.size:
                first = data.draw(st.integers(0, array.size - 1))
                array.reshape(-1)[first::2] = value_for(array.dtype, data)
            case "swap" if array.size > 1:
                first = data.draw(st.integers(0, array.size - 2))
                array.reshape(-1)[[first, first + 1]] = array.reshape(-1)[[first + 1, first]]
            case "shorter" if array.size:
                arrays[name] = array[: -data.draw(st.integers(1, min(70, array.size)))]
            case "longer":
                arrays[name] = np.concatenate([array, array[-3:]])
            case "gone":
                arrays.pop(name)
                if not arrays:
                    break
            case "type":
                other = data.draw(st.sampled_from([np.int64, np.int32, np.uint8, np.uint16, np.uint32, np.float32]))
                arrays[name] = array.astype(other) if data.draw(st.booleans()) else array.reshape(1, -1)
    save_file(arrays, path)
    copy.try_out()


def value_for(dtype, data):
    if dtype.kind == "f":
        return np.array(data.draw(st.sampled_from(ODD))).astype(dtype)
    return np.array(data.draw(st.sampled_from(VALUES))).astype(dtype)


ANYTHING = st.recursive(
    st.sampled_from([None, True, 0, -1, 1, 3, 2**31, 2**70, 0.5, 1e308, "", "a", "float32", "tree", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "C", "kind"]), inner, max_size=2),
    max_leaves=4,
)


def fields_of_json(copy_of, data):
    copy = copy_of(data.draw(st.sampled_from(list(KINDS)), label="kind"))
    path = copy.files / data.draw(st.sampled_from(sorted(p.name for p in copy.files.glob("*.json"))))
    content = json.loads(path.read_bytes())
    at = content
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys), label="key")
        if isinstance(at[key], (dict, list)) and at[key] and data.draw(st.booleans()):
            at = at[key]
            continue
        break
    if data.draw(st.booleans()):
        at[key] = data.draw(ANYTHING, label="value")
    elif isinstance(at, dict):
        at.pop(key)
    else:
        at.insert(key, data.draw(ANYTHING, label="more"))
    path.write_text(json.dumps(content))
    copy.try_out()


@LIGHT
@given(data=st.data())
def test_bytes_of_files(copy_of, data):
    bytes_of_files(copy_of, data)


@LIGHT
@given(data=st.data())
def test_values_of_arrays(copy_of, data):
    values_of_arrays(copy_of, data)


@LIGHT
@given(data=st.data())
def test_fields_of_json(copy_of, data):
    fields_of_json(copy_of, data)


@pytest.mark.slow
@pytest.mark.parametrize("change", [bytes_of_files, values_of_arrays, fields_of_json])
def test_long(copy_of, change):
    @HEAVY
    @given(data=st.data())
    def run(data):
        change(copy_of, data)

    run()


@pytest.mark.parametrize("name", KINDS)
def test_a_copy_that_was_not_changed_answers_as_the_model(folders, copy_of, name):
    copy = copy_of(name)
    copy.seal()
    model, other = load(folders[name]), load(copy.folder)
    X = np.random.default_rng(0).random((20, model.n_features_in_))
    assert (model.predict_topk(X)[0] == other.predict_topk(X)[0]).all()
