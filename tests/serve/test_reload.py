"""A model that is saved anew is taken up; each request is answered by one generation."""

import json
import threading

from tests.serve.tools import corpus, fit, serving

from ceiba.serve.served_model import Loaded, ServedModel


def until(condition, seconds=20.0):
    end = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return True
        end.wait(0.05)
    return False


def test_a_new_generation_answers_without_a_mixed_or_lost_request(tmp_path):
    texts = corpus(24, seed=8)[0]
    models = [fit(seed=seed) for seed in (0, 1, 2)]
    expected = [model.predict_topk(texts, k=3)[0].tolist() for model in models]
    assert expected[0] != expected[1] != expected[2]
    folder = tmp_path / "model"
    models[0].save(folder)
    seen, wrong, stop = set(), [], threading.Event()
    with serving(folder) as client:

        def ask():
            while not stop.is_set():
                answer = client.post("/v1/predict", json={"texts": texts, "k": 3})
                content = answer.json()
                found = [[label["id"] for label in row["labels"]] for row in content.get("results", [])]
                if answer.status_code != 200 or found not in expected:
                    wrong.append(content)
                    return
                seen.add((content["generation"], expected.index(found)))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in (1, 2):
                models[number].save(folder)
                assert until(lambda n=number: wrong or n in {model for _, model in seen})
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong
        assert {model for _, model in seen} == {0, 1, 2}
        assert len(seen) == 3  # each generation's name stands for one model
        assert 'ceiba_reloads_total{model="model"} 2.0' in client.get("/metrics").text


def test_all_lines_are_answered_by_the_generation_they_began_with(tmp_path, monkeypatch):
    models, folder = [fit(), fit(seed=1)], tmp_path / "model"
    texts = corpus(300, seed=5)[0]
    models[0].save(folder)
    with serving(folder) as client:
        served = next(iter(client.app.state.service.models.values()))
        rank, asked = Loaded.rank, []

        def saving(self, rows, k, **filters):
            if len(rows) > 1:
                asked.append(self.generation)
            if len(asked) == 2 and len(rows) > 1:  # in the middle of the request
                models[1].save(folder)
                assert until(lambda: served.current.generation != self.generation)
            return rank(self, rows, k, **filters)

        monkeypatch.setattr(Loaded, "rank", saving)
        content = "".join(json.dumps(text) + "\n" for text in texts).encode()
        headers = {"content-type": "application/x-ndjson"}
        for model in models:
            answer = client.post("/v1/predict.ndjson", content=content, headers=headers, params={"k": 3})
            found = [[label["id"] for label in json.loads(line)["labels"]] for line in answer.text.splitlines()]
            assert found == model.predict_topk(texts, k=3)[0].tolist()
        assert len(set(asked)) == 2


def test_a_folder_that_cannot_be_read_leaves_the_old_model(tmp_path, caplog):
    folder = tmp_path / "model"
    fit().save(folder)
    served = ServedModel("model", folder, 1)
    before = served.current
    moved = folder.rename(tmp_path / "elsewhere")
    assert not served.refresh()
    assert not served.refresh()
    assert served.current is before
    assert len([record for record in caplog.records if "stays" in record.getMessage()]) == 1
    moved.rename(folder)
    assert not served.refresh()
    fit(seed=1).save(folder)
    assert served.refresh()
    assert served.current.generation != before.generation
    assert before.rank(["violin"], 1)  # calls under way finish on it
