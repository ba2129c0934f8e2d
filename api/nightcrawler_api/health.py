"""Probes and metrics: is the process well, can it serve, what has it done.

No probe waits for the API server, and none fails because it is slow or away: then all replicas would
leave their Service at once, with what they have read and could show. How it is with the API server
stands in their answers and in the metrics.
"""

from __future__ import annotations

from typing import Any, Final, cast

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from nightcrawler_api import errors
from nightcrawler_api.dependencies import FacadeOf
from nightcrawler_api.responses import json
from nightcrawler_api.state.clustercache import Mirror

router = APIRouter(tags=["health"])

_STOPPED: Final = "the facade has stopped following the cluster"


class ApiServer(TypedDict):
    """How it is with the cluster's API server: whether it answered last, and how long that took."""

    reachable: bool
    seconds: float


class Contact(TypedDict):
    """What is heard of the cluster; kinds by their plural names."""

    apiServer: ApiServer
    silentTooLong: list[str]
    silentSeconds: dict[str, float]


class Health(Contact):
    """The process is well."""

    status: str


class Readiness(Contact):
    """Whether requests can be served, and what is not yet read; kinds by their plural names."""

    ready: bool
    notYetRead: list[str]


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
    """200 while the process follows the cluster, or tries to; 503 when it has stopped trying.

    `apiServer` says whether the API server answers; that it does not is nothing that a restart would mend.
    """
    if facade.following:
        health: Health = {"status": "ok", **_contact(facade.mirror)}
        return json(health)
    return errors.answer(503, _STOPPED)


@router.get(
    "/readyz",
    summary="Whether requests can be served",
    responses=_probe(Readiness, "They can.", "Not yet; the answer has what 200 has, and a detail."),
)
async def readyz(facade: FacadeOf) -> Response:
    """200 when the cluster has been read once and is followed.

    It stays 200 while the API server is slow or away: reads are answered then, writes are 503.
    """
    why = facade.mirror.why_not_served if facade.following else _STOPPED
    state: Readiness = {
        "ready": not why,
        "notYetRead": facade.mirror.missing,
        **_contact(facade.mirror),
    }
    if state["ready"]:
        return json(state)
    return errors.answer(503, why, more=cast("dict[str, Any]", state))


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
async def metrics(facade: FacadeOf) -> Response:
    """In Prometheus' text format."""
    return Response(generate_latest(facade.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _contact(mirror: Mirror) -> Contact:
    contact = mirror.contact
    return {
        "apiServer": {"reachable": contact.reachable, "seconds": round(contact.seconds, 3)},
        "silentTooLong": mirror.silent_too_long,
        "silentSeconds": {kind: round(seconds, 1) for kind, seconds in mirror.silences.items()},
    }
