"""Fine-tuning: it learns, it repeats, it survives a kill and a full memory."""

import gc
import json
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ceiba import XRTransformer, XTransformer
from ceiba.encoders import load_encoder
from ceiba.encoders.encoder import Encoder
from ceiba.errors import CollapseWarning, InputError, ModelFormatError
from ceiba.finetuning import checkpoint, sampled_softmax, train, trainer
from ceiba.finetuning.distributed import DistributedContext
from ceiba.finetuning.full_softmax import FullSoftmaxObjective
from ceiba.finetuning.prototypes import PrototypeObjective
from ceiba.finetuning.sampled_softmax import SampledSoftmaxObjective
from ceiba.finetuning.settings import FineTuningSettings
from ceiba.finetuning.shortlist import ShortlistObjective
from ceiba.finetuning.trainer import Trainer

FAST = {"max_length": 16, "epochs": 3.0, "batch_size": 8, "matcher_branching_factor": 3, "matcher_leaf_size": 3}
FAST |= {
    "learning_rate": 3e-3,
    "head_learning_rate": 1e-2,
    "precision": "float32",
    "device": "cpu",
    "n_jobs": 1,
    "prototype_max_positives": 0,
}


def fit(tiny_encoder, corpus, model=XRTransformer, *, label_texts=None, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return model(encoder=str(tiny_encoder), **{**FAST, **params}).fit(*corpus, label_texts=label_texts)


def same(first, second):
    pairs = zip(first.encoder_.parameters(), second.encoder_.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
@pytest.mark.parametrize("model", [XRTransformer, XTransformer])
def test_loss_falls_at_every_level(tiny_encoder, small_corpus, model, loss):
    reports = fit(tiny_encoder, small_corpus, model, epochs=12.0, finetuning_loss=loss).fit_report_["matcher"]
    assert len(reports) == (3 if model is XRTransformer else 1)
    for report in reports:
        # the solved head of a first level of three nodes is at its best already
        if loss == "softmax" or report["nodes"] > 3:
            assert np.mean(report["loss"][-5:]) < np.mean(report["loss"][:3])
        assert report["texts_per_second"] > 0
        assert len(report["mean_cosine"]) == len(report["loss"]) + 1


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
def test_a_random_head_knows_nothing(tiny_encoder, small_corpus, loss):
    params = {"finetuning_loss": loss, "matcher_branching_factor": 8, "epochs": 12.0}
    at_centroids, at_random = (
        fit(tiny_encoder, small_corpus, XTransformer, head_init=head_init, **params).fit_report_["matcher"][0]
        for head_init in ("auto", "random")
    )
    n_nodes = at_random["nodes"]
    knowing_nothing = np.log(n_nodes) if loss == "softmax" else n_nodes  # a margin of 0 costs 1
    assert at_random["loss"][0] == pytest.approx(knowing_nothing, rel=0.25)
    assert at_centroids["loss"][0] < 0.97 * at_random["loss"][0]
    assert np.mean(at_random["loss"][-5:]) < at_random["loss"][0]


@pytest.mark.parametrize("model", [XRTransformer, XTransformer])
@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
def test_each_way_to_begin_a_head(tiny_encoder, small_corpus, model, loss):
    params = {"finetuning_loss": loss, "epochs": 2.0}
    fitted = {
        head_init: fit(tiny_encoder, small_corpus, model, head_init=head_init, **params)
        for head_init in ("auto", "centroid", "linear", "random")
    }
    chosen = "centroid" if loss == "softmax" else "linear"
    assert same(fitted["auto"], fitted[chosen])
    losses = {name: each.fit_report_["matcher"][0]["loss"][0] for name, each in fitted.items()}
    assert len({round(value, 6) for value in losses.values()}) == 3
    assert losses["linear"] < losses["random"]


def test_a_head_at_random_is_the_seeds(tiny_encoder, small_corpus):
    first, again, other = (fit(tiny_encoder, small_corpus, head_init="random", random_state=seed) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)
    with pytest.raises(InputError, match="head_init"):
        fit(tiny_encoder, small_corpus, head_init="zeros")


def test_levels_share_the_steps():
    settings, common = FineTuningSettings(epochs=2.0, batch_size=10), [False, False, False]
    assert settings.steps_per_level(350, [True, True, True], common) == [3, 14, 53]
    assert settings.steps_per_level(350, [True, True, False], common) == [14, 56, 0]
    assert settings.steps_per_level(350, [True, False, False], common) == [70, 0, 0]
    assert settings.steps_per_level(345, [True, True, True], [False, False, True]) == [1, 4, 64]
    assert FineTuningSettings(steps=21).steps_per_level(999, [True, True, True], common) == [1, 4, 16]
    assert FineTuningSettings(steps=[0, 5]).steps_per_level(999, [True, True], [False, True]) == [0, 5]


def test_levels_of_rare_nodes_train_the_encoder_alone(tiny_encoder, small_corpus, monkeypatch):
    trained = []
    run_level = Trainer.run_level

    def recorded(self, level, objective, *args, **kwargs):
        trained.append((level, type(objective)))
        return run_level(self, level, objective, *args, **kwargs)

    monkeypatch.setattr(Trainer, "run_level", recorded)
    fit(tiny_encoder, small_corpus, prototype_max_positives=25, finetuning_loss="squared_hinge")
    assert trained == [(level, ShortlistObjective) for level in (1, 2, 3)]  # prototypes need a softmax
    trained.clear()
    reports = fit(tiny_encoder, small_corpus, prototype_max_positives=25, epochs=12.0).fit_report_
    assert trained == [(1, FullSoftmaxObjective), (2, FullSoftmaxObjective), (3, PrototypeObjective)]
    losses = reports["matcher"][2]["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:3])
    trained.clear()
    fit(tiny_encoder, small_corpus, XTransformer, prototype_max_positives=99)
    assert trained == [(1, FullSoftmaxObjective)]
    trained.clear()
    texts, _ = small_corpus
    fit(tiny_encoder, (texts, [[str(row)] for row in range(len(texts))]), prototype_max_positives=99)
    assert len(texts) > 3 ** (len(trained) + 1)  # the lowest levels are of texts alone, and are left out
    assert trained[-1][1] is PrototypeObjective


@pytest.mark.parametrize(
    ("small", "params", "objectives"),
    [
        ("", {}, [FullSoftmaxObjective] * 3),
        ("full", {}, [FullSoftmaxObjective] + [ShortlistObjective] * 2),
        ("full", {"prototype_max_positives": 99}, [FullSoftmaxObjective] + [PrototypeObjective] * 2),
        ("sample", {"prototype_max_positives": 99}, [FullSoftmaxObjective] + [SampledSoftmaxObjective] * 2),
        ("sample ratio", {"prototype_max_positives": 99}, [FullSoftmaxObjective] + [SampledSoftmaxObjective] * 2),
        ("", {"finetuning_loss": "squared_hinge"}, [ShortlistObjective] * 3),
    ],
)
def test_matchers_choose_where_nodes_are_many(tiny_encoder, small_corpus, monkeypatch, small, params, objectives):
    found, matched = [], []
    run_level, match_level = Trainer.run_level, train.match_level

    def recorded(self, level, objective, *args, **kwargs):
        found.append(type(objective))
        return run_level(self, level, objective, *args, **kwargs)

    def counted(*args, **kwargs):
        matched.append(len(found))
        return match_level(*args, **kwargs)

    monkeypatch.setattr(Trainer, "run_level", recorded)
    monkeypatch.setattr(train, "match_level", counted)
    if "full" in small:
        monkeypatch.setattr(train, "MAX_FULL_SOFTMAX_NODES", 4)
    if "sample" in small:
        monkeypatch.setattr(Encoder, "max_full_softmax_nodes", 4)
    if "ratio" in small:
        monkeypatch.setattr(sampled_softmax, "MAX_SAMPLING_RATIO", 0)
    fit(tiny_encoder, small_corpus, steps=[2, 2, 2], **params)
    assert found == objectives
    uses_matches = [ShortlistObjective, *([SampledSoftmaxObjective] if "ratio" in small else [])]
    assert matched == [level for level, objective in enumerate(objectives) if objective in uses_matches]


def test_only_beginnings_are_read_before_and_all_after(tiny_encoder, small_corpus, monkeypatch):
    read = []
    embed = DistributedContext.embed

    def recorded(self, encoder, tokens, **options):
        read.append(tokens.lengths)
        return embed(self, encoder, tokens, **options)

    monkeypatch.setattr(train, "_FIRST_TOKENS", 5)
    monkeypatch.setattr(DistributedContext, "embed", recorded)
    model = fit(tiny_encoder, small_corpus, steps=4)
    whole = model.encoder_.tokenize(small_corpus[0]).lengths
    first, last = read
    assert whole.max() > 5
    assert first.tolist() == np.minimum(whole, 5).tolist()
    assert last.tolist() == whole.tolist()


def test_same_seed_same_model(tiny_encoder, small_corpus):
    first, second = (fit(tiny_encoder, small_corpus) for _ in range(2))
    assert same(first, second)
    assert not same(first, fit(tiny_encoder, small_corpus, random_state=1))


def test_the_stream_of_batches_holds_every_text_once_an_epoch(tiny_encoder, small_corpus):
    encoder = load_encoder(tiny_encoder)
    tuner = Trainer(encoder, encoder.tokenize(small_corpus[0]), FineTuningSettings(batch_size=8), 50, seed=3)
    for epoch in range(3):
        numbers = range(epoch * tuner.batches_per_epoch, (epoch + 1) * tuner.batches_per_epoch)
        assert sorted(np.concatenate([tuner.batch(number) for number in numbers])) == list(range(90))


def test_averaging_is_between_pretrained_and_fine_tuned(tiny_encoder, small_corpus):
    start = load_encoder(tiny_encoder)
    tuned, half, none = (fit(tiny_encoder, small_corpus, wise_ft_alpha=share).encoder_ for share in (1.0, 0.5, 0.0))
    for before, after, mean, same in zip(*(e.parameters() for e in (start, tuned, half, none)), strict=True):
        assert torch.allclose(mean, (before + after) / 2, atol=1e-6)
        assert torch.equal(same, before)


class Killed(BaseException):
    pass


KINDS = {
    "all": {},
    "shortlists": {},
    "held-out": {"validation_fraction": 0.2},
    "held-out-label-texts": {"validation_fraction": 0.2, "patience": 99},
    "held-out-means": {"validation_fraction": 0.2, "patience": 99, "prototype_max_positives": 99},
    "means-of-a-draw": {"prototype_max_positives": 99},
    "means-of-a-draw-near": {"prototype_max_positives": 99},
}


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tiny_encoder, small_corpus):
    """Return parameters and the model of a training that nothing stopped."""
    params = {"checkpoint_seconds": 0.0, "dropout": 0.1, **KINDS[request.param]}
    if "label-texts" in request.param:
        params["label_texts"] = sorted({label for row in small_corpus[1] for label in row})
    with pytest.MonkeyPatch.context() as patch:
        if "draw" in request.param:
            patch.setattr(Encoder, "max_full_softmax_nodes", 4)
        if request.param == "shortlists":
            patch.setattr(train, "MAX_FULL_SOFTMAX_NODES", 0)
        if "near" in request.param:
            patch.setattr(sampled_softmax, "MAX_SAMPLING_RATIO", 0)
        yield params, fit(tiny_encoder, small_corpus, **params)


@pytest.mark.parametrize("at", [0, 2, 9, 10, 21])
def test_resumes_after_a_kill_with_the_same_model(tiny_encoder, small_corpus, whole, tmp_path, monkeypatch, at):
    params, whole = whole
    step, calls = Trainer._training_step, 0

    def killed(self, *args):
        nonlocal calls
        calls += 1
        if calls > at:
            raise Killed
        return step(self, *args)

    params = {**params, "checkpoint_dir": str(tmp_path)}
    monkeypatch.setattr(Trainer, "_training_step", killed)
    with pytest.raises(Killed):
        fit(tiny_encoder, small_corpus, **params)
    monkeypatch.setattr(Trainer, "_training_step", step)
    assert (tmp_path / checkpoint.FILE).exists() == (at > 0)
    resumed = fit(tiny_encoder, small_corpus, **params)
    assert same(resumed, whole)
    assert (resumed.predict_topk(small_corpus[0])[1] == whole.predict_topk(small_corpus[0])[1]).all()
    losses = [[report["loss"] for report in model.fit_report_["matcher"]] for model in (resumed, whole)]
    assert [len(loss) for loss in losses[0]] == [len(loss) for loss in losses[1]]


def test_checkpoint_of_another_training_is_refused(tiny_encoder, small_corpus, tmp_path):
    fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]
    with pytest.raises(InputError, match="another training"):
        fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path), learning_rate=1e-4)
    texts, labels = small_corpus
    with pytest.raises(InputError, match="another training"):
        fit(tiny_encoder, (["the old car", *texts[1:]], labels), checkpoint_dir=str(tmp_path))


def test_damaged_checkpoint(tiny_encoder, small_corpus, tmp_path):
    fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path))
    path = tmp_path / checkpoint.FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFormatError, match=r"checkpoint\.safetensors"):
        fit(tiny_encoder, small_corpus, checkpoint_dir=str(tmp_path))


@pytest.mark.parametrize("room", [1, 3])
def test_step_in_parts_is_the_same_step(tiny_encoder, small_corpus, monkeypatch, room):
    params = {"dropout": 0.0, "epochs": 1.0}
    whole = fit(tiny_encoder, small_corpus, **params)
    encode = DistributedContext.encode

    def small(self, encoder, tokens, rows):
        if len(rows) > room:
            raise torch.OutOfMemoryError("no room")
        return encode(self, encoder, tokens, rows)

    monkeypatch.setattr(DistributedContext, "encode", small)
    parts = fit(tiny_encoder, small_corpus, **params)
    for a, b in zip(whole.encoder_.parameters(), parts.encoder_.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("loss", ["softmax", "squared_hinge"])
def test_accumulation_is_the_same_training(tiny_encoder, small_corpus, monkeypatch, loss):
    params = {"dropout": 0.0, "epochs": 1.0, "finetuning_loss": loss}
    whole = fit(tiny_encoder, small_corpus, **params)
    sizes, encode = [], DistributedContext.encode

    def counted(self, encoder, tokens, rows):
        sizes.append(len(rows))
        return encode(self, encoder, tokens, rows)

    monkeypatch.setattr(DistributedContext, "encode", counted)
    parts = fit(tiny_encoder, small_corpus, gradient_accumulation_steps=3, **params)
    assert max(sizes) == 3
    for a, b in zip(whole.encoder_.parameters(), parts.encoder_.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)
    sizes.clear()
    fit(tiny_encoder, small_corpus, gradient_accumulation_steps=99, **params)
    assert set(sizes) == {1}


def test_no_room_for_one_text(tiny_encoder, small_corpus, monkeypatch):
    def none(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(DistributedContext, "encode", none)
    with pytest.raises(torch.OutOfMemoryError):
        fit(tiny_encoder, small_corpus)


def test_collapse_is_told(tiny_encoder, small_corpus, monkeypatch):
    cosines = iter([0.1] + [0.97] * 100)
    monkeypatch.setattr(trainer, "mean_cosine", lambda _: next(cosines))
    with pytest.warns(CollapseWarning, match=r"0\.100.*0\.970.*level 1"):
        XRTransformer(encoder=str(tiny_encoder), **FAST).fit(*small_corpus)


def test_early_stopping_keeps_the_best_weights(tiny_encoder, small_corpus, monkeypatch):
    seen = []
    losses = iter([3.0, 2.0, 4.0, 5.0])

    def validate(self, objective):
        seen.append([p.detach().clone() for p in self.parameters])
        return next(losses)

    monkeypatch.setattr(Trainer, "_validate", validate)
    params = {"validation_fraction": 0.2, "patience": 2, "steps": 60, "matcher_leaf_size": 99, "wise_ft_alpha": 1.0}
    model = fit(tiny_encoder, small_corpus, **params)
    assert model.fit_report_["matcher"][0]["validation_loss"] == [3.0, 2.0, 4.0, 5.0]
    kept = dict(zip((id(p) for p in model.encoder_.parameters() if p.requires_grad), seen[1], strict=True))
    assert all(torch.equal(p, kept[id(p)]) for p in model.encoder_.parameters() if p.requires_grad)


def test_frozen_embeddings_do_not_move(tiny_encoder, small_corpus):
    before = load_encoder(tiny_encoder).network.get_input_embeddings().weight
    kept, moved = (fit(tiny_encoder, small_corpus, freeze_embeddings=flag) for flag in (True, False))
    assert torch.equal(kept.encoder_.network.get_input_embeddings().weight, before)
    assert not torch.equal(moved.encoder_.network.get_input_embeddings().weight, before)


def test_global_state_of_torch_is_left_alone(tiny_encoder, small_corpus):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    fit(tiny_encoder, small_corpus, n_jobs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_gradients_of_a_batchs_rows_are_clipped_as_those_of_the_whole_table():
    def gradients(sparse):
        torch.manual_seed(0)
        table, weight = torch.nn.Parameter(torch.randn(9, 3)), torch.nn.Parameter(torch.randn(3))
        rows = torch.nn.functional.embedding(torch.tensor([4, 1, 4, 7]), table, sparse=sparse)  # one row twice
        (rows @ weight).square().sum().backward()
        unused = torch.nn.Parameter(torch.ones(2))
        (trainer.clip_gradients if sparse else torch.nn.utils.clip_grad_norm_)([table, weight, unused], 0.25)
        return table.grad.to_dense(), weight.grad

    for found, expected in zip(gradients(True), gradients(False), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5)
        assert found.abs().max() > 0


@pytest.mark.parametrize("level", ["weights", "means", "label texts"])
def test_every_level_is_trained_by_the_loss_asked_for(tiny_encoder, small_corpus, level):
    params = {"steps": [0, 0, 3], "prototype_max_positives": 99 if level == "means" else 0}
    if level == "label texts":
        params["label_texts"] = sorted({label for row in small_corpus[1] for label in row})
    assert not same(
        *(fit(tiny_encoder, small_corpus, finetuning_loss=loss, **params) for loss in ("softmax", "squared_hinge"))
    )


def written(path, **changes):
    """Write a checkpoint again, with other fields; None leaves a field out."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["ceiba"])
    content = {name: value for name, value in {**content, **changes}.items() if value is not None}
    save_file(load_file(path), path, metadata={"ceiba": json.dumps(content)})


@pytest.mark.parametrize("changes", [{"version": 3, "of": "0", "fingerprint": None}, {"global_step": None}])
def test_a_checkpoint_of_before_is_refused_by_name(tiny_encoder, small_corpus, tmp_path, changes):
    fit(tiny_encoder, small_corpus, steps=3, checkpoint_dir=str(tmp_path))
    written(tmp_path / checkpoint.FILE, **changes)
    with pytest.raises(ModelFormatError, match=re.escape(checkpoint.FILE)) as error:
        fit(tiny_encoder, small_corpus, steps=3, checkpoint_dir=str(tmp_path))
    assert "another folder" in str(error.value)  # the cure
    if "version" in changes:
        assert "another version" in str(error.value)


def test_a_checkpoint_is_of_its_encoder(tiny_encoder, small_corpus, tmp_path):
    here, moved, other = (tmp_path / place / "encoder" for place in ("here", "moved", "other"))
    for folder in (here, moved, other):
        shutil.copytree(tiny_encoder, folder)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("query.weight"))
    weights[name] = weights[name] + 1e-3
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    params = {"checkpoint_dir": str(tmp_path / "checkpoints"), "steps": 3}
    trained = fit(here, small_corpus, **params)
    assert same(fit(moved, small_corpus, **params), trained)
    with pytest.raises(InputError, match="another training"):
        fit(other, small_corpus, **params)


@pytest.mark.parametrize(("wise_ft_alpha", "n_copies"), [(1.0, 0), (0.5, 1)])
def test_pretrained_weights_are_kept_where_they_count(tiny_encoder, small_corpus, wise_ft_alpha, n_copies):
    at_start = load_encoder(tiny_encoder).network.encoder.layer[0].intermediate.dense.weight
    found = []

    def look(stage, done, total):
        if stage.startswith("fine-tuning") and done:
            gc.collect()
            tensors = (one for one in gc.get_objects() if type(one) is torch.Tensor and one.shape == at_start.shape)
            found.append(sum(torch.equal(one, at_start) for one in tensors))

    XRTransformer(encoder=str(tiny_encoder), **{**FAST, "wise_ft_alpha": wise_ft_alpha, "steps": 3}).fit(
        *small_corpus, progress=look
    )
    assert set(found) == {n_copies}
