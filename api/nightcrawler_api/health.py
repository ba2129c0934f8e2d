"""Probes and metrics: is the process well, can it serve, what has it done."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from nightcrawler_api import errors
from nightcrawler_api.dependencies import FacadeOf
from nightcrawler_api.mirror import Mirror
from nightcrawler_api.responses import json

router = APIRouter(tags=["health"])


class Health(TypedDict):
    """The process is well."""

    status: str


class ApiServer(TypedDict):
    """How it is with the cluster's API server."""

    reachable: bool


class Readiness(TypedDict):
    """Whether requests can be served, and what that depends on; kinds by their plural names."""

    ready: bool
    apiServer: ApiServer
    notYetRead: list[str]
    silentTooLong: list[str]
    silentSeconds: dict[str, float]


def _probe(model: type[Any], good: str, bad: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model, "description": good},
        503: {"model": errors.Problem, "description": bad},
    }


@router.get(
    "/healthz",
    summary="Whether the process is well",
    responses=_probe(Health, "It is.", "It has stopped following the cluster."),
)
async def healthz(facade: FacadeOf) -> Response:
    """200 while the process follows the cluster, or tries to; 503 when it has stopped trying."""
    if facade.following:
        return json({"status": "ok"})
    return errors.answer(503, "the facade has stopped following the cluster")


@router.get(
    "/readyz",
    summary="Whether requests can be served",
    responses=_probe(Readiness, "They can.", "Not all; the answer has what 200 has, and a detail."),
)
async def readyz(facade: FacadeOf) -> Response:
    """200 when the cluster has been read, its API server answers and is heard of every kind.

    While the API server is away this is 503 and so are writes; reads are still answered.
    """
    state = await _readiness(facade.mirror)
    if state["ready"]:
        return json(state)
    return errors.answer(503, _why_not(state), more=cast("dict[str, Any]", state))


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(facade: FacadeOf) -> Response:
    """In Prometheus' text format."""
    return Response(generate_latest(facade.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _readiness(mirror: Mirror) -> Readiness:
    missing, silent, heard = mirror.missing, mirror.silent_too_long, await mirror.hears()
    return {
        "ready": heard and not missing and not silent,
        "apiServer": {"reachable": heard},
        "notYetRead": missing,
        "silentTooLong": silent,
        "silentSeconds": {kind: round(seconds, 1) for kind, seconds in mirror.silences.items()},
    }


def _why_not(state: Readiness) -> str:
    if not state["apiServer"]["reachable"]:
        return "the API server does not answer; reads are answered from what it last said, writes are not"
    if state["notYetRead"]:
        return f"the facade has not yet read the cluster's {', '.join(state['notYetRead'])}"
    return (
        f"nothing has been heard of the cluster's {', '.join(state['silentTooLong'])} for too long, "
        "although the API server answers: what is known of them may be old"
    )
