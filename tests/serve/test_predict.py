"""What /v1/predict, /v1/explain and the other routes answer, compared with the model itself."""

import json

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.serve.tools import HOSTILE, SUBJECTS, corpus, label_texts, problem, serving

import ceiba
from ceiba.serve.served_model import Loaded

TEXT = "An old Violin in the harbour"


def predict(client: TestClient, **body):
    return client.post("/v1/predict", json=body)


def ranked(client, **body) -> list[str]:
    """Return the labels of the only text."""
    answer = predict(client, **body)
    assert answer.status_code == 200, answer.text
    return [label["id"] for label in answer.json()["results"][0]["labels"]]


def test_answers_are_those_of_the_model(client, model):
    texts = [TEXT, "", "nothing known", *corpus(20, seed=5)[0]]
    answer = predict(client, texts=texts, k=4)
    assert answer.status_code == 200
    content = answer.json()
    labels, scores = model.predict_topk(texts, k=4)
    assert [[label["id"] for label in row["labels"]] for row in content["results"]] == labels.tolist()
    np.testing.assert_allclose(
        [[label["score"] for label in row["labels"]] for row in content["results"]], scores, rtol=1e-6
    )
    assert content["calibrated"] is False
    assert content["model"] == "subjects"
    names = label_texts()
    assert all(label["text"] == names[label["id"]] for row in content["results"] for label in row["labels"])


def test_k_is_five_by_default_and_may_be_more_than_there_are_labels(client):
    assert len(predict(client, texts=[TEXT]).json()["results"][0]["labels"]) == 5
    assert 5 < len(predict(client, texts=[TEXT], k=1000).json()["results"][0]["labels"]) <= len(SUBJECTS) + 1


def test_threshold_leaves_lower_scores_out(client):
    whole = predict(client, texts=[TEXT], k=8).json()["results"][0]["labels"]
    threshold = whole[2]["score"]
    kept = predict(client, texts=[TEXT], k=8, threshold=threshold).json()["results"][0]["labels"]
    assert kept == [label for label in whole if label["score"] >= threshold]
    assert predict(client, texts=[TEXT], threshold=2.0).json()["results"] == [{"labels": []}]


def test_allowed_and_denied_labels(client, model):
    first = ranked(client, texts=[TEXT], k=20)
    denied = ranked(client, texts=[TEXT], k=20, denied=first[:2])
    expected = model.predict_topk([TEXT], k=20, denied=first[:2])[0][0].tolist()
    assert denied == [label for label in expected if label is not None]
    assert not set(denied) & set(first[:2])
    allowed = [*first[-2:], first[0]]
    expected = model.predict_topk([TEXT], k=3, allowed=allowed)[0][0].tolist()
    assert set(expected) == set(allowed)
    assert ranked(client, texts=[TEXT], k=20, allowed=[*allowed, *allowed]) == expected
    assert ranked(client, texts=[TEXT], k=20, allowed=allowed, denied=[first[0]]) == expected[1:]
    assert ranked(client, texts=[TEXT], k=20, denied=[]) == first
    assert ranked(client, texts=[TEXT], k=1, denied=[HOSTILE])


def test_a_model_that_keeps_filters_is_served_with_them(tmp_path):
    from tests.serve.tools import fit

    model = fit()
    first = model.predict_topk([TEXT], k=4)[0][0].tolist()
    model.set_filters(allowed=first[:3], denied=first[:1])
    model.save(tmp_path / "kept")
    with serving(tmp_path / "kept") as client:
        assert ranked(client, texts=[TEXT], k=20) == first[1:3]
        assert ranked(client, texts=[TEXT], k=20, allowed=[first[2], first[3]]) == [first[2]]
        assert ranked(client, texts=[TEXT], k=20, denied=[first[2]]) == [first[1]]
        assert "allowed" in problem(predict(client, texts=[TEXT], allowed=[first[3]]), 422)["detail"]


def test_scores_are_from_0_to_1_for_logarithms_too(tmp_path):
    from tests.serve.tools import fit

    model = fit(combine="log-sigmoid")
    model.save(tmp_path / "logs")
    with serving(tmp_path / "logs") as client:
        (result,) = predict(client, texts=[TEXT], k=3).json()["results"]
        scores = [label["score"] for label in result["labels"]]
        np.testing.assert_allclose(scores, np.exp(model.predict_topk([TEXT], k=3)[1][0]), rtol=1e-5)
        explained = client.post("/v1/explain", json={"text": TEXT, "label": result["labels"][0]["id"]}).json()
        assert explained["score"] == pytest.approx(scores[0], rel=1e-4)


def test_no_texts_is_no_results(client):
    assert predict(client, texts=[]).json()["results"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "texts"),
        ({"texts": "one"}, "texts"),
        ({"texts": [1]}, "texts.0"),
        ({"texts": ["a"], "k": 0}, "k"),
        ({"texts": ["a"], "k": "5"}, "k"),
        ({"texts": ["a"], "k": 1.5}, "k"),
        ({"texts": ["a"], "k": 10**30}, "k"),
        ({"texts": ["a"], "k": 1001}, "k"),
        ({"texts": ["a"] * 100, "k": 1000}, "k"),
        ({"texts": ["a"], "threshold": "x"}, "threshold"),
        ({"texts": ["a"], "denied": ["none such"]}, "denied.0"),
        ({"texts": ["a"], "allowed": ["violin", "none such"]}, "allowed.1"),
        ({"texts": ["a"], "allowed": []}, "allowed"),
        ({"texts": ["a"], "explain": 1}, "explain"),
        ({"texts": ["a"] * 30, "explain": True}, "explain"),
        ({"texts": ["a"], "unknown": 1}, "unknown"),
        ({"texts": ["a"], "model": 5}, "model"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(client, body, field):
    content = problem(predict(client, **body), 422)
    assert content["code"] == "invalid"
    assert content["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"\xff\xfe",
        b'{"texts": ["\\ud800"]}',
        b"[" * 100_000,
        b'{"texts": [' + b"9" * 5000 + b"]}",
        b'{"texts": ["a"], "threshold": NaN}',
        b'{"texts": ["a"], "threshold": 1e999}',
        b'{"\\ud800": 1, "texts": []}',
    ],
)
def test_a_body_that_is_no_request_is_an_error(client, body):
    problem(client.post("/v1/predict", content=body, headers={"content-type": "application/json"}), 422)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/x-ndjson", "multipart/form-data"]
)
def test_another_media_type_is_refused(client, kind):
    response = client.post("/v1/predict", content=b'{"texts": ["a"]}', headers={"content-type": kind})
    assert problem(response, 415)["code"] == "unsupported_media_type"


def test_a_media_type_with_parameters_is_taken(client):
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/v1/predict", content=b'{"texts": ["a"]}', headers=headers).status_code == 200


def test_unknown_models_and_paths(client):
    assert problem(predict(client, texts=["a"], model="other"), 404)["field"] == "model"
    assert problem(client.get("/v1/labels", params={"model": "../subjects"}), 404)["field"] == "model"
    assert problem(client.get("/v1/nothing"), 404)["code"] == "not_found"
    assert problem(client.get("/v1/predict"), 405)["code"] == "method_not_allowed"
    assert client.get("/v1/predict").headers["allow"] == "POST"


def test_two_models_by_name(folder, tmp_path):
    from tests.serve.tools import fit

    fit(seed=3).save(tmp_path / "subjects")
    with serving(folder, tmp_path / "subjects") as client:
        infos = client.get("/v1/models").json()["models"]
        assert [info["name"] for info in infos] == ["subjects", "subjects-2"]
        assert [info["n_trees"] for info in infos] == [2, 1]
        assert infos[0]["n_labels"] == len(SUBJECTS) + 1
        assert infos[0]["has_label_texts"] is True
        assert predict(client, texts=["a"], model="subjects-2").json()["model"] == "subjects-2"
        assert predict(client, texts=["a"]).json()["model"] == "subjects"


def test_explain_shows_words_path_and_sources(client, model):
    content = client.post("/v1/explain", json={"text": TEXT, "label": "violin", "n_features": 3}).json()
    expected = model.explain(TEXT, "violin", n_features=3)
    assert content["label"] == "violin"
    assert content["score"] == pytest.approx(expected.score)
    assert [(step["level"], step["node"], step["n_labels"]) for step in content["steps"]] == [
        (step.level, step.node, step.n_labels) for step in expected.steps
    ]
    assert content["steps"][-1]["examples"] == ["The violins of old"]
    assert all(len(step["features"]) <= 3 and step["examples"] for step in content["steps"])
    best = max(content["marks"], key=lambda mark: mark["contribution"])
    assert TEXT[best["begin"] : best["end"]] == "Violin"
    (source,) = content["sources"]
    assert (source["name"], source["score"]) == ("tree", pytest.approx(expected.score))


def test_a_model_of_several_sources(tmp_path):
    texts, labels = corpus(160)
    model = ceiba.HybridClassifier(n_jobs=1, random_state=0).fit(texts, labels, label_texts=label_texts())
    model.save(tmp_path / "hybrid")
    with serving(tmp_path / "hybrid") as client:
        (info,) = client.get("/v1/models").json()["models"]
        assert info["calibrated"] is True
        content = client.post("/v1/explain", json={"text": TEXT, "label": "violin"}).json()
        expected = model.explain(TEXT, "violin")
        assert content["score"] == pytest.approx(expected.score)
        assert content["steps"] == []
        found = {source["name"]: source["contribution"] for source in content["sources"]}
        assert found == pytest.approx({each.name: each.contribution for each in expected.sources} | expected.others)
        best = max(content["marks"], key=lambda mark: mark["contribution"])
        assert TEXT[best["begin"] : best["end"]] == "Violin"
        assert problem(client.get("/v1/tree"), 422)["field"] == "tree"


def test_training_texts_are_shown_of_a_model_that_keeps_them(tmp_path):
    texts, labels = corpus(160)
    texts[3] += " <script>alert(1)</script>" + " and so on" * 200
    model = ceiba.HybridClassifier(n_jobs=1, fusion="logistic", include_training_texts=True)
    model.fit(texts, labels, label_texts=label_texts()).save(tmp_path / "hybrid")
    with serving(tmp_path / "hybrid") as client:
        assert client.get("/v1/models").json()["models"][0]["has_training_texts"] is True
        content = client.post("/v1/explain", json={"text": texts[3], "label": labels[3][0]}).json()
        expected = model.explain(texts[3], labels[3][0]).training_texts
        assert [near["text"] for near in content["training_texts"]] == [each.text[:1000] for each in expected]
        nearest = content["training_texts"][0]
        assert nearest["text"] == texts[3][:1000]
        assert nearest["has_label"] is True
        assert sorted(label["id"] for label in nearest["labels"]) == sorted(labels[3])
        assert nearest["labels"][0]["text"] == label_texts()[nearest["labels"][0]["id"]]


def test_training_texts_of_other_models_are_not_shown(client):
    assert client.get("/v1/models").json()["models"][0]["has_training_texts"] is False
    content = client.post("/v1/explain", json={"text": corpus()[0][0], "label": "violin"}).json()
    assert content["training_texts"] is None


def test_words_of_a_model_with_an_encoder(tiny_encoder, small_corpus, tmp_path):
    pytest.importorskip("transformers", reason="the extra ceiba[transformer] is not installed")
    texts, labels = small_corpus
    model = ceiba.XRTransformer(encoder=str(tiny_encoder), steps=2, max_length=16, n_jobs=1, random_state=0).fit(
        texts, labels
    )
    model.save(tmp_path / "encoder")
    with serving(tmp_path / "encoder") as client:
        content = client.post("/v1/explain", json={"text": "the fast red apple", "label": labels[0][0]}).json()
        assert content["steps"]
        assert [mark["begin"] for mark in content["marks"]] == sorted(mark["begin"] for mark in content["marks"])
        assert {mark["end"] - mark["begin"] for mark in content["marks"]} <= {3, 4, 5}
        assert client.post("/v1/explain", json={"text": "", "label": labels[0][0]}).json()["marks"] == []


def test_a_model_of_several_sources_with_an_encoder_is_batched_as_one_of_its_own(tiny_encoder, small_corpus, tmp_path):
    pytest.importorskip("transformers", reason="the extra ceiba[transformer] is not installed")
    texts, labels = small_corpus
    given = {"fusion": "logistic", "n_jobs": 1}
    for name, encoder in (("words", None), ("embeddings", f"frozen:{tiny_encoder}")):
        ceiba.HybridClassifier(encoder=encoder, max_length=16, **given).fit(texts, labels).save(tmp_path / name)
    words, embeddings = Loaded(tmp_path / "words", 3), Loaded(tmp_path / "embeddings", 3)
    assert (words.has_encoder, embeddings.has_encoder) == (False, True)
    assert (words.model.n_jobs, embeddings.model.n_jobs) == (1, 3)  # threads of a call
    with serving(tmp_path / "embeddings", threads=2) as client:
        answer = client.post("/v1/explain", json={"text": "the fast red apple", "label": labels[0][0]}).json()
        assert answer["sources"]


def test_explanations_of_a_prediction_are_those_of_explain(client):
    (result,) = predict(client, texts=[TEXT], k=3, explain=True).json()["results"]
    for label in result["labels"]:
        alone = client.post("/v1/explain", json={"text": TEXT, "label": label["id"]}).json()
        assert label["explanation"] == alone


def test_long_texts_are_explained_for_few_labels(client):
    long = "violin " * 20_000
    assert problem(predict(client, texts=[long], k=50, explain=True), 422)["field"] == "explain"
    (result,) = predict(client, texts=[long], k=1, explain=True).json()["results"]
    assert result["labels"][0]["explanation"]["label"] == "violin"


def test_explain_refuses_what_it_cannot_explain(client):
    assert problem(client.post("/v1/explain", json={"text": TEXT, "label": "none"}), 422)["field"] == "label"
    assert problem(client.post("/v1/explain", json={"text": TEXT}), 422)["field"] == "label"
    assert problem(client.post("/v1/explain", json={"text": TEXT, "label": "violin", "n_features": -1}), 422)


def test_hostile_labels_stay_data(client):
    answer = client.get("/v1/labels", params={"query": "<img"})
    assert answer.headers["content-type"] == "application/json"
    assert [entry["id"] for entry in answer.json()["labels"]] == [HOSTILE]
    assert answer.json()["labels"][0]["text"] == label_texts()[HOSTILE]
    ranked = predict(client, texts=["trick trick"], k=1).json()["results"][0]["labels"]
    assert ranked[0]["id"] == HOSTILE
    assert client.post("/v1/explain", json={"text": "trick", "label": HOSTILE}).json()["text"] == label_texts()[HOSTILE]


def test_a_label_of_any_length_can_be_named(tmp_path):
    long, empty = "a" * 5000, ""
    texts = [f"{word} {word}" for word in ("violin", "harbour", "falcon") * 8]
    labels = [[{"violin": long, "harbour": empty}.get(text.split()[0], "c")] for text in texts]
    ceiba.XRLinear(n_jobs=1).fit(texts, labels).save(tmp_path / "model")
    with serving(tmp_path / "model") as client:
        for text, label in (("violin", long), ("harbour", empty)):
            assert ranked(client, texts=[text], k=1) == [label]
            assert ranked(client, texts=["falcon"], allowed=[label]) == [label]
            assert label not in ranked(client, texts=[text], denied=[label])
            assert client.post("/v1/explain", json={"text": text, "label": label}).json()["label"] == label


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_lines_are_utf_8(client, encoding):
    (first, *_) = lines(client, '"é"'.encode(encoding))
    assert first["error"]["status"] == 422
    (answer,) = lines(client, '"violin"'.encode("utf-8-sig"))
    assert answer["labels"][0]["id"] == "violin"


def test_labels_are_found_by_id_and_text(client, model):
    entries = client.get("/v1/labels", params={"query": "OLD  "}).json()["labels"]
    assert {entry["id"] for entry in entries[:-1]} == set(SUBJECTS)
    assert entries[-1]["id"] == HOSTILE  # within a word: "bold"
    by_text = client.get("/v1/labels", params={"query": "the viol"}).json()["labels"]
    first = client.get("/v1/labels", params={"query": "viol"}).json()["labels"]
    assert by_text == first
    assert [entry["id"] for entry in first] == ["violin"]
    column = model.classes_.tolist().index("violin")
    assert first[0]["training_texts"] == model.label_counts_[column]
    assert len(client.get("/v1/labels", params={"limit": 3}).json()["labels"]) == 3
    assert client.get("/v1/labels", params={"query": "zzz"}).json()["labels"] == []
    assert problem(client.get("/v1/labels", params={"limit": 0}), 422)["field"] == "limit"
    assert problem(client.get("/v1/labels", params={"query": "x" * 2000}), 422)["field"] == "query"


def test_the_tree_can_be_walked_to_every_label(client, model):
    found = []

    def walk(level, node):
        offset = 0
        while True:
            params = {"tree": 1, "level": level, "node": node, "limit": 2, "offset": offset}
            answer = client.get("/v1/tree", params=params).json()
            for child in answer["children"]:
                if child["label"] is None:
                    assert child["examples"]
                    walk(child["level"], child["node"])
                else:
                    found.append(child["label"]["id"])
            offset += 2
            if offset >= answer["n_children"]:
                break

    walk(0, 0)
    assert sorted(found) == sorted(model.classes_.tolist())


@pytest.mark.parametrize(("params", "field"), [({"tree": 2}, "tree"), ({"level": 9}, "level"), ({"node": 1}, "node")])
def test_nodes_that_are_not_there(client, params, field):
    assert problem(client.get("/v1/tree", params=params), 422)["field"] == field


# ------------------------------------------------------------------ NDJSON


def lines(client, content, **params):
    answer = client.post(
        "/v1/predict.ndjson", content=content, params=params, headers={"content-type": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_lines_are_answered_in_order(client, model):
    texts = corpus(300, seed=9)[0]
    content = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))
    answers = lines(client, content.encode(), k=2)
    assert [answer["id"] for answer in answers] == list(range(300))
    labels, _ = model.predict_topk(texts, k=2)
    assert [[label["id"] for label in answer["labels"]] for answer in answers] == labels.tolist()


def test_a_bad_line_touches_no_other(client):
    bad = [
        b"{",
        b"[]",
        b"1",
        b'{"text": 5}',
        b'{"id": "x", "text": "\\ud800"}',
        b"\xff",
        b"[" * 5000,
        b'{"text": "' + b"a" * 200_001 + b'"}',
    ]
    content = b'"violin"\n' + b"\n".join(bad) + b'\n\n  \n{"text": "violin", "id": {"no": 1}}'
    answers = lines(client, content)
    assert len(answers) == len(bad) + 2
    assert answers[0]["labels"] == answers[-1]["labels"]
    assert "id" not in answers[-1]
    statuses = [answer["error"]["status"] for answer in answers[1:-1]]
    assert statuses == [422] * (len(bad) - 1) + [413]
    assert answers[5]["id"] == "x"


@pytest.mark.parametrize(
    ("given", "comes_back"),
    [("7", True), ('"a\\u0000\\n<b>"', True), ('""', True), ("-0", True), (str(10**400), True), (r'"\ud800"', True)]
    + [(given, False) for given in ("true", "false", "null", "1.5", "1e3", "[1]", "{}", "NaN", "Infinity")],
)
def test_ids_of_lines_are_strings_and_integers(client, given, comes_back):
    (answer,) = lines(client, f'{{"text": "violin", "id": {given}}}\n'.encode())
    assert answer["labels"][0]["id"] == "violin"
    assert ("id" in answer) == comes_back
    if comes_back:
        assert answer["id"] == json.loads(given)
        assert type(answer["id"]) is type(json.loads(given))


def test_a_line_longer_than_any_text_is_one_error(folder):
    with serving(folder, max_characters=10) as client:
        answers = lines(client, b'"' + b"a" * 100_000 + b'"\n"violin"\n' + b'"' + b"b" * 500)
    assert [answer.get("error", {}).get("status") for answer in answers] == [413, None, 413]


def test_lines_of_nothing(client):
    assert lines(client, b"") == []
    assert lines(client, b"\n \n") == []


def test_lines_need_their_media_type_and_good_parameters(client):
    assert problem(client.post("/v1/predict.ndjson", content=b'"a"'), 415)
    for params, field in (({"k": 0}, "k"), ({"k": 2000}, "k"), ({"threshold": "nan"}, "threshold")):
        headers = {"content-type": "application/x-ndjson"}
        answer = client.post("/v1/predict.ndjson", content=b'"a"', params=params, headers=headers)
        assert problem(answer, 422)["field"] == field
