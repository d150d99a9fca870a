"""What a notebook shows of an estimator: parameters before and after `fit`, sizes after it, and never markup."""

import sklearn

from ceiba import HybridClassifier, XRLinear

TEXTS = ["a red cat", "the grey seal", "a cat sat", "seal at sea"] * 3
EVIL = "<script>alert(1)</script>"
LABELS = [[EVIL], ["seal"], [EVIL], ["seal"]] * 3


def test_parameters_before_fit():
    html = XRLinear(beam_size=17)._repr_html_()
    assert "beam_size" in html
    assert "17" in html
    assert "training instances" not in html


def test_what_was_fitted():
    model = XRLinear(n_trees=2).fit(TEXTS, LABELS)
    html = model._repr_html_()
    for words in ("n_trees", "labels", "training instances", "label trees", "size of the trees", "texts"):
        assert words in html
    assert EVIL not in html
    assert "&lt;script&gt;" in html
    assert "training instances" in model._repr_mimebundle_()["text/html"]


def test_texts_of_labels_are_escaped():
    model = XRLinear(n_trees=1).fit(TEXTS, [["a"], ["b"]] * 6, label_texts={"a": EVIL, "b": "<b>bold"})
    assert EVIL not in model._repr_html_()
    assert "<b>bold" not in model._repr_html_()


def test_a_hybrid_model():
    model = HybridClassifier(random_state=0, fusion="logistic", n_jobs=1).fit(TEXTS, LABELS)
    html = model._repr_html_()
    assert "sources" in html
    assert "calibrated" in html


def test_plain_text_where_scikit_learn_is_told_so():
    with sklearn.config_context(display="text"):
        assert set(XRLinear()._repr_mimebundle_()) == {"text/plain"}
        assert not hasattr(XRLinear(), "_repr_html_")
