"""The API of the service: /v1, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from ceiba.serve import schemas, telemetry
from ceiba.serve.bodies import NDJSON, check_media_type, described, lines_of, read_json
from ceiba.serve.errors import ServiceError
from ceiba.serve.explanations import explanation
from ceiba.serve.json_response import JsonResponse
from ceiba.serve.ndjson import answers, spooled
from ceiba.serve.rendering import children_of, label_entry, labels_of, model_info
from ceiba.serve.served_model import Answer, Loaded
from ceiba.serve.service import Service

PREDICT_PATH = "/v1/predict"
LINES_PATH = "/v1/predict.ndjson"
_MOST_EXPLAINED = 100  # labels of one request
_MOST_CHARACTERS_EXPLAINED = 4_000_000  # of all texts, once for each label: an explanation reads its text many times

router = APIRouter(responses=schemas.EVERY_ROUTE, default_response_class=JsonResponse)


def service_of(request: Request) -> Service:
    """Return the service of an application."""
    return request.app.state.service


_Service = Annotated[Service, Depends(service_of)]
_ModelName = Annotated[str | None, Query(max_length=200, description="The model; the first one by default.")]


@router.post(
    PREDICT_PATH,
    summary="Rank the labels of texts",
    response_model=schemas.PredictAnswer,
    responses=schemas.READS_BODY,
    openapi_extra=described(schemas.PredictRequest),
    tags=["predict"],
)
async def predict(request: Request, service: _Service) -> Response:
    """Rank the labels of each text, best first.

    All texts of a request are answered by the same generation of the model. For large batches, send a text per line to
    /v1/predict.ndjson.
    """
    body = await read_json(request, schemas.PredictRequest)
    model = service.model(body.model)
    service.check_texts(body.texts)
    service.check_k(body.k, len(body.texts))
    if body.explain and len(body.texts) * body.k > _MOST_EXPLAINED:
        raise ServiceError(422, f"At most {_MOST_EXPLAINED} labels are explained in one request.", "explain")
    if body.explain and sum(map(len, body.texts)) * body.k > _MOST_CHARACTERS_EXPLAINED:
        raise ServiceError(422, "The texts are too long for so many explanations. Ask for fewer labels.", "explain")
    loaded, found = await service.rank(
        model,
        body.texts,
        k=body.k,
        threshold=body.threshold,
        allowed=body.allowed,
        denied=body.denied,
        gone=request.receive,
    )
    results = [{"labels": labels_of(loaded, answer)} for answer in found]
    if body.explain:
        await service.in_thread(_explain_all, loaded, body.texts, found, results)
    return JsonResponse(
        {
            "model": model.name,
            "generation": loaded.generation,
            "calibrated": loaded.calibrated,
            "results": results,
        }
    )


@router.post(
    LINES_PATH,
    summary="Rank the labels of many texts, a line of JSON each",
    tags=["predict"],
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": lines_of(schemas.Line, example='{"id": 1, "text": "burned hand"}\n', or_string=True),
        }
    },
    responses={
        **schemas.READS_BODY,
        200: {
            "description": "A line for each line.",
            "content": lines_of(
                schemas.LineAnswer,
                example='{"id": 1, "labels": [{"id": "T23.0", "text": "Burn of hand", "score": 0.4}]}\n',
            ),
        },
    },
)
async def predict_lines(
    request: Request,
    service: _Service,
    model: _ModelName = None,
    k: Annotated[int, Query(ge=1, description="Labels per text.")] = 5,
    threshold: Annotated[
        float | None, Query(allow_inf_nan=False, description="Leave out labels of a lower score.")
    ] = None,
) -> Response:
    """Answer each line ``{"text": ...}``, or JSON string, with a line ``{"labels": [...]}``, in the same order.

    The ``id`` of a line, a string or an integer, is part of its answer. A line that cannot be used is answered with
    ``{"error": ...}``; the others are not touched. Blank lines are passed over. One generation of the
    model answers all lines.
    """
    check_media_type(request, NDJSON)
    service.check_k(k, service.settings.max_batch)
    chosen = service.model(model)
    loaded = chosen.current

    async def lines() -> AsyncIterator[bytes]:
        with file:
            async for part in answers(service, chosen, loaded, file, k=k, threshold=threshold):
                yield part

    file = await spooled(request)
    return StreamingResponse(lines(), media_type=NDJSON)


@router.post(
    "/v1/explain",
    summary="Say why a label has its score",
    response_model=schemas.Explanation,
    responses=schemas.READS_BODY,
    openapi_extra=described(schemas.ExplainRequest),
    tags=["predict"],
)
async def explain(request: Request, service: _Service) -> Response:
    """Return the words of the text that carried the label, the path down the tree, and the sources of its score."""
    body = await read_json(request, schemas.ExplainRequest)
    service.check_texts([body.text], "text")
    loaded = service.model(body.model).current

    def explained() -> dict[str, Any]:
        label = loaded.ids[loaded.column(body.label, "label")]
        return explanation(loaded, body.text, label, body.n_features)

    return JsonResponse(await service.in_thread(explained))


@router.get(
    "/v1/labels",
    summary="Find labels by name",
    response_model=schemas.LabelsAnswer,
    responses=schemas.ASKS_MODEL,
    tags=["models"],
)
async def labels(
    service: _Service,
    query: Annotated[
        str, Query(max_length=1000, description="A part of a label's id or text.", examples=["stove"])
    ] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    model: _ModelName = None,
) -> Response:
    """Return labels whose id or text has a part like the query, in whichever case."""
    chosen = service.model(model)
    loaded = chosen.current

    def found() -> list[dict[str, Any]]:
        return [label_entry(loaded, column) for column in loaded.search(query, limit)]

    return JsonResponse({"model": chosen.name, "labels": await service.in_thread(found)})


@router.get(
    "/v1/tree",
    summary="Show a node of a label tree",
    response_model=schemas.TreeAnswer,
    responses=schemas.ASKS_MODEL,
    tags=["models"],
)
async def tree(
    service: _Service,
    tree: Annotated[int, Query(ge=0, description="Which tree of an ensemble.")] = 0,
    level: Annotated[int, Query(ge=0, description="The node's level; 0 is the root.")] = 0,
    node: Annotated[int, Query(ge=0, description="The node's number in its level.")] = 0,
    offset: Annotated[int, Query(ge=0, description="Children to pass over.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    model: _ModelName = None,
) -> Response:
    """Return the children of a node, with their most frequent labels."""
    chosen = service.model(model)
    loaded = chosen.current
    trees = loaded.model.trees_
    if tree >= len(trees):
        raise ServiceError(422, f"The model has {len(trees)} trees.", "tree")
    if level >= trees[tree].depth:
        raise ServiceError(422, f"The tree has {trees[tree].depth} levels of nodes with children.", "level")
    if node >= len(trees[tree].child_ptrs[level]) - 1:
        raise ServiceError(422, f"The level has {len(trees[tree].child_ptrs[level]) - 1} nodes.", "node")
    found = await service.in_thread(children_of, loaded, tree, level, node, offset, limit)
    return JsonResponse({"model": chosen.name, **found})


@router.get("/v1/models", summary="List the models", response_model=schemas.ModelsAnswer, tags=["models"])
async def models(service: _Service) -> Response:
    """Return the models of the service, the default one first."""
    return JsonResponse({"models": [model_info(model) for model in service.models.values()]})


@router.get("/healthz", summary="Whether the process lives", response_model=schemas.Status, tags=["service"])
async def healthz() -> Response:
    """Answer as long as the process lives."""
    return JsonResponse({"status": "ok"})


@router.get("/readyz", summary="Whether requests are answered", response_model=schemas.Status, tags=["service"])
async def readyz(service: _Service) -> Response:
    """Answer 503 before the models are loaded and while the service ends."""
    if not service.ready:
        raise ServiceError(503, "The service is not ready.", headers={"Retry-After": "1"})
    return JsonResponse({"status": "ok"})


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Counters."}},
    tags=["service"],
)
async def metrics(service: _Service) -> Response:
    """Return requests, seconds, texts, batches and reloads."""
    return Response(service.telemetry.page(), media_type=telemetry.CONTENT_TYPE)


def _explain_all(loaded: Loaded, texts: Sequence[str], found: Sequence[Answer], results: list[dict[str, Any]]) -> None:
    for text, answer, result in zip(texts, found, results, strict=True):
        for label, entry in zip(answer.labels, result["labels"], strict=True):
            entry["explanation"] = explanation(loaded, text, label)
