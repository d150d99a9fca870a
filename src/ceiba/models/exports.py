"""Exports of a fitted model: answers as data frames, HTML for notebooks, uploads to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sklearn import get_config
from sklearn.utils import estimator_html_repr

from ceiba.models.notebook import as_html

if TYPE_CHECKING:
    from ceiba.models.classifier import PartitionedClassifier


class Exports:
    """Mixin of `PartitionedClassifier`: data frames, notebooks and the Hugging Face Hub."""

    def predict_frame(
        self,
        X: Any,
        k: int = 5,
        *,
        kind: str = "pandas",
        beam_size: int | None = None,
        allowed: Any = None,
        denied: Any = None,
    ) -> Any:
        """Rank the k best labels of each row, as a data frame with a row for each answer.

        Parameters
        ----------
        X : iterable of str, or sparse matrix or array-like of shape (N, D)
            Texts or features, as in ``predict_topk``.
        k : int, default=5
            Labels per row; no more than there are labels.
        kind : {"pandas", "polars", "pyarrow"}, default="pandas"
            The library of the data frame.
        beam_size : int, default=None
            As in ``predict_topk``, like `allowed` and `denied`.
        allowed, denied : labels or indicator, default=None
            The only labels that a row may get, and those that it must not get.

        Returns
        -------
        DataFrame or pyarrow.Table
            "row", from 0, or the index where X and the answers are of pandas; "rank", from 1; "label"; "text", where
            the model knows texts of labels; "score". Rows are in the order of X, best answers first.

        Raises
        ------
        InputError, InputTypeError
            As `predict_topk`, and when there is no such `kind` or it is not installed.

        Examples
        --------
        A row for each text and label, as a pandas data frame::

            answers = model.predict_frame(["a red apple", "an old car"], k=2)
            answers[answers["score"] > 0.5]
        """
        from ceiba.models.answer_frame import answer_frame, check_kind, index_of

        check_kind(kind)
        model = cast("PartitionedClassifier", self)
        labels, scores = model.predict_topk(X, k, beam_size=beam_size, allowed=allowed, denied=denied)
        texts = model.label_texts_
        named = None if texts is None else dict(zip(model.classes_.tolist(), texts.tolist(), strict=True))
        return answer_frame(kind, labels, scores, named, index_of(X, kind))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        data: str | None = None,
        figures: Mapping[str, float] | None = None,
        language: str | list[str] | None = None,
        license: str | None = None,
        include_training_texts: bool | None = None,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a model of Ceiba",
        token: str | bool | None = None,
    ) -> str:
        """Upload the model to the Hugging Face Hub, with a card; `ceiba.from_pretrained` loads it.

        Needs the extra ``ceiba[hub]``. The environment variable HF_ENDPOINT names another hub.

        Parameters
        ----------
        repo_id : str
            Owner and name of the repository, such as "user/name". It is made where it does not exist.
        data : str, default=None
            What the model was trained on, in words, for the card.
        figures : mapping of str to float, default=None
            Figures for the card, as `ceiba.metrics.evaluate` gives them.
        language, license : str, list of str or None, default=None
            For the card, such as "en" and "cc-by-4.0".
        include_training_texts : bool, default=None
            What to do with the training texts of a model that keeps them: True publishes them, False leaves them out.
            None is an error for such a model.
        private : bool, default=None
            Whether a new repository is private. None: as the owner has set it on the Hub.
        revision : str, default=None
            The branch, which is made where it does not exist. None: the main branch.
        commit_message : str
            The message of the commit.
        token : str, bool or None, default=None
            A token. None: that of ``hf auth login`` or of the environment variable HF_TOKEN.

        Returns
        -------
        str
            The address of the commit.

        Raises
        ------
        HubError
            When the Hub refuses, or cannot be reached.
        InputError
            When `repo_id` cannot be one, or `include_training_texts` is None for a model that keeps them.

        Examples
        --------
        ::

            figures = metrics.evaluate(y_test, model.predict_topk(X_test, 5)[0])
            model.push_to_hub("user/subjects", figures=figures, language="en", license="cc-by-4.0")
        """
        from ceiba.models.hub import push_to_hub

        return push_to_hub(
            cast("PartitionedClassifier", self),
            repo_id,
            data=data,
            figures=figures,
            language=language,
            license=license,
            include_training_texts=include_training_texts,
            private=private,
            revision=revision,
            commit_message=commit_message,
            token=token,
        )

    def _repr_html_inner(self) -> str:
        """Return what scikit-learn's ``_repr_html_`` gives a notebook, and what was fitted."""
        return as_html(cast("PartitionedClassifier", self), estimator_html_repr(self))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        bundle = {"text/plain": repr(self)}
        if get_config()["display"] == "diagram":
            bundle["text/html"] = self._repr_html_inner()
        return bundle
