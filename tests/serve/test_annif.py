"""Annif's protocol, with Annif's own client."""

import pytest
from tests.serve.tools import HOSTILE, label_texts, problem, process

annif_client = pytest.importorskip("annif_client")


def test_annif_client_works_unchanged(folder, model):
    with process(folder) as (_, url):
        annif = annif_client.AnnifClient(api_base=f"{url}/v1/")
        assert annif.api_info["title"] == "Ceiba"
        (project,) = annif.projects
        assert project["project_id"] == "subjects"
        assert annif.get_project("subjects") == project
        labels, scores = model.predict_topk(["violin harbour"], k=10)
        results = annif.suggest("subjects", "violin harbour")
        assert [row["uri"] for row in results] == labels[0].tolist()
        assert [row["score"] for row in results] == pytest.approx(scores[0].tolist())
        assert results[0]["label"] == label_texts()[results[0]["uri"]]
        assert len(annif.suggest("subjects", "violin harbour", limit=2)) == 2
        assert all(row["score"] >= 0.5 for row in annif.suggest("subjects", "violin harbour", threshold=0.5))
        documents = [{"text": "violin", "document_id": "one"}, {"text": "trick"}]
        batch = annif.suggest_batch("subjects", documents, limit=1)
        assert [row["document_id"] for row in batch] == ["one", None]
        assert [row["results"][0]["uri"] for row in batch] == ["violin", HOSTILE]
        for call in (
            lambda: annif.get_project("other"),
            lambda: annif.suggest("other", "a"),
            lambda: annif.suggest_batch("other", []),
            lambda: annif.learn("other", []),
        ):
            with pytest.raises(ValueError, match="other"):
                call()
        with pytest.raises(OSError, match="403"):
            annif.learn("subjects", [])


def test_limits_and_errors(client):
    suggest = "/v1/projects/subjects/suggest"
    assert client.post(suggest, data={"text": "violin", "limit": 0}).json() == {"results": []}
    assert problem(client.post(suggest, data={}), 422)["field"] == "text"
    assert problem(client.post(suggest, data={"text": "a", "limit": -1}), 422)["field"] == "limit"
    assert problem(client.post(suggest, data={"text": "a", "limit": 10**6}), 422)["field"] == "k"
    assert problem(client.post(suggest, data={"text": "a", "threshold": 2}), 422)["field"] == "threshold"
    assert problem(client.post(suggest, files={"text": b"a file"}), 422)["field"] == "text"
    assert client.post(suggest, data={"text": "violin", "language": "fi"}).status_code == 200
    batch = "/v1/projects/subjects/suggest-batch"
    assert problem(client.post(batch, json={"documents": [{"text": "a"}] * 33}), 422)["field"] == "documents"
    assert problem(client.post(batch, json={"documents": [{}]}), 422)["field"] == "documents.0.text"
    assert client.post(batch, json={"documents": []}).json() == []
    assert client.post(batch, json={"documents": [{"text": "a", "unknown": 1}]}).status_code == 200
    assert problem(
        client.post(suggest, content=b"\x00", headers={"content-type": "multipart/form-data; boundary=x"}), 400
    )
