"""Requests and answers of the API, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ceiba.serve.errors import PROBLEM

MOST_NAMES = 10_000  # labels of one request to allow or deny
_EXAMPLE_TEXT = "burned hand on hot stove"

_MODEL = Field(None, description="The model's name; the first one of the service when null.", max_length=200)
_FEATURES = Field(10, ge=0, le=1000, description="Features per node of the path.")


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PredictOptions(_Request):
    """How labels are ranked."""

    model: str | None = _MODEL
    k: int = Field(5, ge=1, description="Labels per text.")
    threshold: float | None = Field(None, allow_inf_nan=False, description="Leave out labels of a lower score.")
    allowed: list[str] | None = Field(None, max_length=MOST_NAMES, description="Rank these labels only.")
    denied: list[str] | None = Field(None, max_length=MOST_NAMES, description="Leave these labels out.")
    explain: bool = Field(False, description="Say why, for each label. For a few texts at once.")


class PredictRequest(PredictOptions):
    """Texts to rank labels for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": [_EXAMPLE_TEXT], "k": 3}]})

    texts: list[str] = Field(description="The texts.")


class Line(BaseModel):
    """A line of an NDJSON request. A JSON string is a line too."""

    text: str
    id: str | int | None = Field(None, description="Comes back with the answer.")


class ExplainRequest(_Request):
    """A text and the label to explain."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": _EXAMPLE_TEXT, "label": "T23.0"}]})

    model: str | None = _MODEL
    text: str
    label: str = Field(description="The id of a label.")
    n_features: int = _FEATURES


class LabelName(BaseModel):
    """A label and what it is called."""

    id: str
    text: str | None


class Mark(BaseModel):
    """A word of the text, and what it carried to the label's score. Offsets count Unicode code points."""

    begin: int
    end: int
    contribution: float = Field(
        description="Of linear models, the contributions of the features that the word is part of. Of others, what the "
        "logit of the score loses without the word."
    )


class Feature(BaseModel):
    """A feature's share of a node's margin."""

    feature: str
    contribution: float


class Step(BaseModel):
    """A node on the way down the tree. The last one is the label."""

    level: int
    node: int
    n_labels: int = Field(description="Labels below the node.")
    examples: list[str] = Field(description="Texts, or ids, of its most frequent labels.")
    margin: float = Field(description="The bias plus all contributions.")
    bias: float
    features: list[Feature] = Field(description="The largest contributions.")


class Source(BaseModel):
    """What a source of candidates says about the label."""

    name: str
    score: float | None
    rank: int | None = Field(description="The label's place in the source's own ranking.")
    contribution: float | None = Field(description="What the source adds to the logit of the probability.")
    weight: float | None = Field(description="What the score counts beside that of the tree.")


class TrainingText(BaseModel):
    """A text that the model was trained on, near to the text."""

    text: str = Field(description="Its first 1,000 characters.")
    labels: list[LabelName] = Field(description="Up to 50 of its labels.")
    similarity: float = Field(description="The cosine of both texts' features.")
    has_label: bool = Field(description="Whether it has the label that is explained.")


class Explanation(BaseModel):
    """Why a label has its score."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "label": "T23.0",
                    "text": "Burn of unspecified degree of wrist and hand",
                    "score": 0.41,
                    "marks": [{"begin": 0, "end": 6, "contribution": 0.9}],
                    "steps": [
                        {
                            "level": 1,
                            "node": 3,
                            "n_labels": 210,
                            "examples": ["Burn of unspecified degree of wrist and hand"],
                            "margin": 0.7,
                            "bias": -0.2,
                            "features": [{"feature": "word__burned", "contribution": 0.9}],
                        }
                    ],
                    "sources": [{"name": "tree", "score": 0.41, "rank": None, "contribution": None, "weight": None}],
                    "training_texts": None,
                }
            ]
        }
    )

    label: str
    text: str | None
    score: float
    marks: list[Mark] = Field(description="The words of the text that carried the score.")
    steps: list[Step] = Field(description="The path down the tree; empty where several sources were fused.")
    sources: list[Source]
    training_texts: list[TrainingText] | None = Field(
        description="Training texts near to the text, the nearest first; null unless the model was trained with "
        "`include_training_texts`."
    )


class Label(BaseModel):
    """A ranked label."""

    id: str
    text: str | None = Field(description="What the label is called; null where the model does not know.")
    score: float = Field(description="A probability where the model is calibrated.")
    explanation: Explanation | None = Field(None, description="Where `explain` was asked for.")


class Result(BaseModel):
    """The ranked labels of one text, best first."""

    labels: list[Label]


class PredictAnswer(BaseModel):
    """Results in the order of the texts, all of one generation of the model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "ceiba-icd10cm",
                    "generation": "generation-1",
                    "calibrated": False,
                    "results": [
                        {"labels": [{"id": "X15.0", "text": "Contact with hot stove (kitchen)", "score": 0.93}]}
                    ],
                }
            ]
        }
    )

    model: str
    generation: str
    calibrated: bool = Field(description="Whether scores are probabilities.")
    results: list[Result]


class Problem(BaseModel):
    """Every error has this form, that of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": 422,
                    "code": "invalid",
                    "title": "Invalid request",
                    "detail": "k is at most 1000.",
                    "field": "k",
                }
            ]
        }
    )

    status: int
    code: str = Field(description="The kind of error, for programs.")
    title: str
    detail: str = Field(description="What is wrong, and what would be right.")
    field: str | None = Field(description="The part of the request at fault.")


class LineAnswer(BaseModel):
    """A line of an NDJSON answer: labels, or what is wrong with the line."""

    id: str | int | None = None
    labels: list[Label] | None = Field(None, description="Best first.")
    error: Problem | None = None


class LabelEntry(BaseModel):
    """A label of the model."""

    id: str
    text: str | None
    training_texts: int = Field(description="Texts of the training set with this label.")


class LabelsAnswer(BaseModel):
    """Labels found by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "ceiba-icd10cm",
                    "labels": [{"id": "X15.0", "text": "Contact with hot stove (kitchen)", "training_texts": 4}],
                }
            ]
        }
    )

    model: str
    labels: list[LabelEntry]


class TreeNode(BaseModel):
    """A node of a label tree."""

    level: int
    node: int
    n_labels: int
    label: LabelEntry | None = Field(description="The label, where the node is one.")
    examples: list[str] = Field(description="Texts, or ids, of its most frequent labels.")


class TreeAnswer(BaseModel):
    """The children of a node of a label tree."""

    model: str
    n_trees: int
    tree: int
    depth: int = Field(description="Levels below the root. Nodes of the last are labels.")
    n_children: int
    children: list[TreeNode]


class ModelInfo(BaseModel):
    """A model of the service."""

    name: str
    generation: str
    type: str
    n_labels: int
    n_training_texts: int
    n_trees: int
    calibrated: bool = Field(description="Whether scores are probabilities.")
    has_label_texts: bool
    has_training_texts: bool = Field(description="Whether explanations show training texts.")


class ModelsAnswer(BaseModel):
    """The models of the service. The first is the default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": [
                        {
                            "name": "ceiba-icd10cm",
                            "generation": "generation-1",
                            "type": "XRLinear",
                            "n_labels": 97584,
                            "n_training_texts": 182000,
                            "n_trees": 3,
                            "calibrated": False,
                            "has_label_texts": True,
                            "has_training_texts": False,
                        }
                    ]
                }
            ]
        }
    )

    models: list[ModelInfo]


class Status(BaseModel):
    """Whether the service works."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: str


OF_BODIES = (PredictRequest, ExplainRequest, Line, LineAnswer, Problem)  # FastAPI does not see that they are used

_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "The Host header names another machine, and the service has no token.",
    404: "There is no such model.",
    408: "The body came too slowly.",
    413: "The body or a text is too large.",
    415: "The body is of another type than this route takes.",
    422: "A value cannot be used.",
    500: "The service failed.",
    503: "Too much to do. Ask again after the seconds of Retry-After.",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of a route's errors for OpenAPI."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": content,
            **({"headers": _RETRY} if status == 503 else {}),
        }
        for status in statuses
    }


EVERY_ROUTE = errors(401, 403, 500, 503)
READS_BODY = errors(400, 404, 408, 413, 415, 422)
ASKS_MODEL = errors(404, 422)
