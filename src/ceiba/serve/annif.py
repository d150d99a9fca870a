"""Annif's protocol, so that its clients and its ``http`` backend work against this service.

A project is a model. See Annif's REST API, version 1: https://github.com/NatLibFi/Annif/wiki/REST-API
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from ceiba import __version__
from ceiba.serve import schemas
from ceiba.serve.bodies import described, read_json
from ceiba.serve.errors import ServiceError
from ceiba.serve.json_response import JsonResponse
from ceiba.serve.routes import service_of
from ceiba.serve.served_model import Answer, Loaded, ServedModel
from ceiba.serve.service import Service

router = APIRouter(prefix="/v1", tags=["annif"], responses=schemas.EVERY_ROUTE, default_response_class=JsonResponse)
_Service = Annotated[Service, Depends(service_of)]
_DEFAULT_LIMIT = 10  # this and the next are Annif's own
_MOST_DOCUMENTS = 32
_LANGUAGE = "Taken and not used: a label has one text."


class Document(BaseModel):
    """A document of a batch."""

    model_config = ConfigDict(extra="ignore")

    text: str
    document_id: str | None = None


class Batch(BaseModel):
    """Documents to suggest subjects for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"documents": [{"text": "A history of maps"}]}]})

    documents: list[Document] = Field(max_length=_MOST_DOCUMENTS)


class Info(BaseModel):
    """Name and version of the service."""

    title: str
    version: str


class Backend(BaseModel):
    """What computes a project's suggestions."""

    backend_id: str


class Vocabulary(BaseModel):
    """The labels of a project."""

    vocab_id: str
    languages: list[str]
    loaded: bool
    size: int


class Project(BaseModel):
    """A model, as Annif's project."""

    project_id: str
    name: str
    language: str
    backend: Backend
    vocab: Vocabulary
    vocab_language: str
    is_trained: bool
    modification_time: str


class Projects(BaseModel):
    """All projects."""

    projects: list[Project]


class Suggestion(BaseModel):
    """A subject for a text."""

    uri: str
    label: str
    notation: str | None
    score: float


class Suggestions(BaseModel):
    """Subjects for a text, best first."""

    results: list[Suggestion]


class BatchSuggestions(Suggestions):
    """Subjects for a document of a batch."""

    document_id: str | None


@router.get("/", summary="Name and version", response_model=Info)
async def root() -> Response:
    """Return what Annif's clients ask first."""
    return JsonResponse({"title": "Ceiba", "version": __version__})


@router.get("/projects", summary="The models, as Annif's projects", response_model=Projects)
async def projects(service: _Service) -> Response:
    """Return all projects."""
    return JsonResponse({"projects": [_project(model) for model in service.models.values()]})


@router.get(
    "/projects/{project_id}",
    summary="One model, as Annif's project",
    response_model=Project,
    responses=schemas.ASKS_MODEL,
)
async def project(project_id: str, service: _Service) -> Response:
    """Return a project."""
    return JsonResponse(_project(service.model(project_id)))


@router.post(
    "/projects/{project_id}/suggest",
    summary="Suggest subjects for a text",
    response_model=Suggestions,
    responses=schemas.READS_BODY,
)
async def suggest(
    project_id: str,
    request: Request,
    service: _Service,
    text: Annotated[str, Form(examples=["A history of maps"])],
    limit: Annotated[int, Form(ge=0)] = _DEFAULT_LIMIT,
    threshold: Annotated[float, Form(ge=0, le=1)] = 0.0,
    language: Annotated[str | None, Form(description=_LANGUAGE)] = None,
) -> Response:
    """Return the best labels of a text."""
    (results,) = await _suggest(service, request, project_id, [text], limit, threshold, "text")
    return JsonResponse({"results": results})


@router.post(
    "/projects/{project_id}/suggest-batch",
    summary="Suggest subjects for several documents",
    response_model=list[BatchSuggestions],
    responses=schemas.READS_BODY,
    openapi_extra=described(Batch),
)
async def suggest_batch(
    project_id: str,
    request: Request,
    service: _Service,
    limit: Annotated[int, Query(ge=0)] = _DEFAULT_LIMIT,
    threshold: Annotated[float, Query(ge=0, le=1)] = 0.0,
    language: Annotated[str | None, Query(description=_LANGUAGE)] = None,
) -> Response:
    """Return the best labels of each document."""
    body = await read_json(request, Batch)
    texts = [document.text for document in body.documents]
    found = await _suggest(service, request, project_id, texts, limit, threshold, "documents")
    return JsonResponse(
        [
            {"document_id": document.document_id, "results": results}
            for document, results in zip(body.documents, found, strict=True)
        ]
    )


@router.post("/projects/{project_id}/learn", summary="Not offered", include_in_schema=False)
async def learn(project_id: str, service: _Service) -> Response:
    """Refuse to learn: models of a service do not change."""
    service.model(project_id)
    raise ServiceError(403, "Models of this service do not learn from requests.")


async def _suggest(
    service: Service,
    request: Request,
    project_id: str,
    texts: Sequence[str],
    limit: int,
    threshold: float,
    field: str,
) -> list[list[dict[str, Any]]]:
    model = service.model(project_id)
    service.check_texts(texts, field)
    if not limit:
        return [[] for _ in texts]
    service.check_k(limit, len(texts))
    loaded, found = await service.rank(model, texts, k=limit, threshold=threshold, gone=request.receive)
    return [_results(loaded, answer) for answer in found]


def _results(loaded: Loaded, answer: Answer) -> list[dict[str, Any]]:
    return [
        {"uri": str(label), "label": loaded.text(label) or str(label), "notation": None, "score": min(1.0, score)}
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]


def _project(model: ServedModel) -> dict[str, Any]:
    return {
        "project_id": model.name,
        "name": model.name,
        "language": "en",
        "backend": {"backend_id": "ceiba"},
        "vocab": {"vocab_id": model.name, "languages": ["en"], "loaded": True, "size": len(model.current.ids)},
        "vocab_language": "en",
        "is_trained": True,
        "modification_time": model.current.saved.isoformat(),
    }
