"""Former names of parameters and arguments: an error names the one of today, and older folders are translated."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from ceiba import XRLinear, XRTransformer, XTransformer, load
from ceiba._estimator import translate_parameter
from ceiba.cli.settings import build
from ceiba.errors import InputError, InputTypeError
from ceiba.tree.overlap import assign_clusters

# class, former name, a value of it, name and value of today
FORMER = [
    (XRLinear, "threshold", 0.05, "weight_threshold", 0.05),
    *(
        (kind, *case)
        for kind in (XRTransformer, XTransformer)
        for case in (
            ("loss", "squared_hinge", "finetuning_loss", "squared_hinge"),
            ("negatives", "man", "finetuning_negatives", "man"),
            ("label_documents", True, "ranker_label_documents", True),
            ("bootstrap", False, "head_init", "random"),
            ("bootstrap", True, "head_init", "auto"),
            ("negative_beam", 5, "negatives_beam_size", 5),
            ("averaging", 0.25, "wise_ft_alpha", 0.75),
            ("scale", 15.0, "logit_scale", 15.0),
            ("accumulation", 2, "gradient_accumulation_steps", 2),
            ("warmup", 0.2, "warmup_ratio", 0.2),
            ("min_positives", 3.0, "prototype_max_positives", 3.0),
        )
    ),
]
CLI_NAMES = {XRLinear: "xr-linear", XRTransformer: "xr-transformer", XTransformer: "x-transformer"}
FORMATS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize(("kind", "name", "value", "now", "today"), FORMER)
def test_a_former_name_is_an_error_that_says_what_to_write(kind, name, value, now, today):
    write = f"{now}={today!r}"
    with pytest.raises(InputTypeError, match=write):
        kind(**{name: value})
    with pytest.raises(InputError, match=write):
        kind().set_params(**{name: value})
    with pytest.raises(InputError, match=write):
        kind.from_preset("fast", **{name: value})
    with pytest.raises(InputTypeError, match=now):
        kind().fit(["a text"], [["a label"]], **{name: value})
    with pytest.raises(InputError, match=f"--set {now}={str(today).lower()}"):
        build(CLI_NAMES[kind], [f"{name}={str(value).lower()}"])
    assert getattr(kind(**{now: today}), now) == today


def test_former_names_of_nested_parameters():
    with pytest.raises(InputError, match=r"ranker__weight_threshold=0\.05"):
        XRTransformer().set_params(ranker__threshold=0.05)
    with pytest.raises(InputError, match=r"--set ranker__weight_threshold=0\.05"):
        build("xr-transformer", ["ranker__threshold=0.05"])
    with pytest.raises(InputError, match="ranker__weight_threshold"):
        XRTransformer().set_params(threshold=0.05)


def test_values_that_were_never_allowed_are_shown_as_they_are():
    with pytest.raises(InputTypeError, match="head_init='linear'"):
        XRTransformer(bootstrap="linear")
    with pytest.raises(InputError, match="--set head_init=linear"):
        build("xr-transformer", ["bootstrap=linear"])


def test_a_class_of_ones_own_may_use_a_former_name():
    class Own(XRLinear):
        def __init__(self, *, threshold=1, n_jobs=None):
            super().__init__(n_jobs=n_jobs)
            self.threshold = threshold

    assert Own(threshold=3).threshold == 3
    assert Own().set_params(threshold=2).threshold == 2


@pytest.mark.parametrize(("name", "now"), [("home", "primary_cluster"), ("leave_home", "primary_drop_ratio")])
def test_former_arguments_of_assign_clusters(name, now):
    Y = scores = sp.csr_array(np.eye(3))
    arguments = {"Y": Y, "scores": scores, "primary_cluster": [0, 1, 2], "primary_drop_ratio": 0.5}
    arguments[name] = arguments.pop(now)
    with pytest.raises(InputTypeError, match=now):
        assign_clusters(**arguments)


@pytest.mark.parametrize("format", ["format-2", "format-3"])
@pytest.mark.parametrize("name", ["xr_linear", "xr_linear_own_parts", "xr_transformer", "x_transformer"])
def test_a_folder_of_an_older_format_has_todays_parameters(format, name):
    if "transformer" in name:
        pytest.importorskip("transformers")
    folder = FORMATS / format / name
    model = load(folder)
    written = json.loads(
        (folder / "model.json" if format == "format-2" else folder / "model-0001/model.json").read_text()
    )
    params = model.get_params(deep=False)
    for former, value in written["params"].items():
        now, today = translate_parameter(type(model), former, value)
        if now in params and not isinstance(today, (dict, list)):
            if (now, today) == ("prediction_threshold", 0.5):
                today = "tuned"  # it was the default, and is what counts until thresholds are tuned
            assert params[now] == today, now
    assert not {former for kind, former, *_ in FORMER if kind is type(model)} & params.keys()


def test_values_of_older_folders_are_translated():
    pytest.importorskip("transformers")
    model = load(FORMATS / "format-3" / "xr_transformer")
    assert (model.wise_ft_alpha, model.head_init, model.logit_scale, model.warmup_ratio) == (0.5, "auto", 10.0, 0.2)
    assert (model.gradient_accumulation_steps, model.prototype_max_positives, model.negatives_beam_size) == (2, 5.0, 4)
    assert (model.finetuning_negatives, model.ranker_label_documents) == ("tfn", True)
    assert model.ranker.weight_threshold == 0.02
    assert load(FORMATS / "format-3" / "x_transformer").finetuning_loss == "squared_hinge"
    assert load(FORMATS / "format-3" / "xr_linear").weight_threshold == 0.05
