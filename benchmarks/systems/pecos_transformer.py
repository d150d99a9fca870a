"""PECOS XR-Transformer on texts and TF-IDF: a script for the peers' interpreter, which has no Ceiba.

Settings are those of the wiki10-31k example for BERT but for the tree, the steps and the ranker, which the task names.
Two limits of libpecos 1.2.8: batch_gen_workers=0 ends the process, and steps past the last multiple of save_steps are
lost, so that each level saves once, at its end.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from pecos.utils import torch_util
from pecos.xmc import Indexer, LabelEmbeddingFactory, MLModel
from pecos.xmc.base import HierarchicalKMeans, HierarchicalMLModel
from pecos.xmc.xlinear.model import XLinearModel
from pecos.xmc.xtransformer.matcher import TransformerMatcher
from pecos.xmc.xtransformer.model import XTransformer
from pecos.xmc.xtransformer.module import MLProblemWithText


def clustering(splits, clusters, leaf, task):
    return HierarchicalKMeans.TrainParams(
        nr_splits=splits, min_codes=clusters, max_leaf_size=leaf, spherical=True, seed=task["seed"],
        kmeans_max_iter=20, threads=task["threads"],
    )  # fmt: skip


def rankers(depth, task):
    def level():
        return MLModel.TrainParams(
            threshold=task["threshold"], Cp=task["Cp"], Cn=task["Cn"], max_iter=100, eps=0.1, bias=1.0,
            threads=task["threads"],
        )  # fmt: skip

    def answers(last):
        return MLModel.PredParams(only_topk=task["beam"], post_processor="noop" if last else "l3-hinge")

    negatives = ["tfn"] * (depth - 1) + ["tfn+man"]
    train = HierarchicalMLModel.TrainParams(neg_mining_chain=negatives, model_chain=[level() for _ in range(depth)])
    predict = HierarchicalMLModel.PredParams(model_chain=[answers(t == depth - 1) for t in range(depth)])
    return (
        XLinearModel.TrainParams(
            mode="full-model", ranker_level=1, nr_splits=16, min_codes=None, shallow=False, rel_mode="induce",
            rel_norm="l1", hlm_args=train,
        ),
        XLinearModel.PredParams(hlm_args=predict),
    )  # fmt: skip


def matcher(steps, task):
    return TransformerMatcher.TrainParams(
        model_shortcut=task["encoder"], negative_sampling="tfn+man", loss_function="weighted-squared-hinge",
        bootstrap_method="weighted-linear", lr_schedule="linear", threshold=task["threshold"],
        hidden_dropout_prob=0.1, batch_size=task["batch_size"], batch_gen_workers=1, max_active_matching_labels=1000,
        max_steps=steps, num_train_epochs=0, learning_rate=task["learning_rate"], warmup_steps=int(0.1 * steps),
        weight_decay=0.0, max_grad_norm=1.0, logging_steps=max(1, steps // 10), save_steps=max(1, steps),
        cost_sensitive_ranker=True, use_gpu=False,
    )  # fmt: skip


def main(task):
    folder = Path(task["folder"])
    X, X_test, Y = (sp.load_npz(folder / f"{name}.npz").astype(np.float32) for name in ("X_trn", "X_tst", "Y_trn"))
    texts, test = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("train", "test"))
    torch.set_num_threads(task["threads"])
    torch_util.set_seed(task["seed"])
    first = clustering(*task["matcher_tree"], task)
    last = clustering(16, None, 16, task)
    started = time.perf_counter()
    depth = len(Indexer.gen(LabelEmbeddingFactory.pifa(Y, X), train_params=last))
    levels = len(Indexer.gen(LabelEmbeddingFactory.pifa(Y, X), train_params=first))
    looked = time.perf_counter() - started  # only to learn how deep the trees are
    if levels != len(task["steps"]):
        raise SystemExit(f"steps needs {levels} numbers")
    train_ranker, predict_ranker = rankers(depth, task)
    answers = TransformerMatcher.PredParams(
        only_topk=20, post_processor="l3-hinge", ensemble_method="concat-only", truncate_length=task["max_length"]
    )
    started = time.perf_counter()
    model = XTransformer.train(
        MLProblemWithText(texts, Y, X_feat=X),
        train_params=XTransformer.TrainParams(
            preliminary_indexer_params=first, refined_indexer_params=last, ranker_params=train_ranker,
            matcher_params_chain=[matcher(steps, task) for steps in task["steps"]], do_fine_tune=task["fine_tune"],
            only_encoder=False, fix_clustering=False, max_match_clusters=32768,
        ),
        pred_params=XTransformer.PredParams(
            ranker_params=predict_ranker, matcher_params_chain=[answers for _ in task["steps"]]
        ),
        threads=task["threads"],
    )  # fmt: skip
    fitted = time.perf_counter() - started
    started = time.perf_counter()
    options = {"batch_size": task["batch_size"], "batch_gen_workers": 1, "use_gpu": False, "threads": task["threads"]}
    found = model.predict(test, X_feat=X_test, only_topk=5, **options).tocsr()
    predicted = time.perf_counter() - started
    top = []
    for i in range(found.shape[0]):
        row = slice(found.indptr[i], found.indptr[i + 1])
        top.append(found.indices[row][np.argsort(-found.data[row], kind="stable")][:5].tolist())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"top": top, "fit_s": fitted, "predict_s": predicted, "peak_mb": peak, "looked_s": looked}
    Path(task["out"]).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
