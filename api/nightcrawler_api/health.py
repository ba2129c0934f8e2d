"""Liveness and readiness probes, and metrics.

No probe waits for the API server, and none fails while it is slow or unavailable: all replicas would
leave their Service at once, although they can serve cached reads. Responses and metrics show the API
server's state.
"""

from __future__ import annotations

from typing import Any, Final, NotRequired, cast

from fastapi import Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from typing_extensions import TypedDict

from nightcrawler_api import errors
from nightcrawler_api.auth.operations import Operation, performs
from nightcrawler_api.dependencies import Facade, FacadeOf
from nightcrawler_api.http.routes import Routes
from nightcrawler_api.keeping.health import health_of
from nightcrawler_api.keeping.schemas import ArchiveHealth, LogHealth
from nightcrawler_api.responses import json

router = Routes(tags=["health"])

_STOPPED: Final = "the facade has stopped watching the cluster"
_NOT_KEEPING: Final = "the facade has stopped keeping runs that have ended"
_NOT_RECORDING: Final = "the facade has stopped writing audit records"


class ApiServer(TypedDict):
    """The result of the last probe of the API server, and how long it took."""

    reachable: bool
    seconds: float


class ClusterHealth(TypedDict):
    """The API server, the watches, archive and kept logs, if there are; kinds by their plural names."""

    apiServer: ApiServer
    silentTooLong: list[str]
    silentSeconds: dict[str, float]
    archive: NotRequired[ArchiveHealth]
    keptLogs: NotRequired[LogHealth]


class Health(ClusterHealth):
    """The process is healthy."""

    status: str


class Readiness(ClusterHealth):
    """Whether requests can be served, and which kinds are not synced yet, by their plural names."""

    ready: bool
    notYetRead: list[str]


def _probe(model: type[Any], good: str, bad: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model, "description": good},
        503: {"model": errors.Problem, "description": bad},
    }


@router.get(
    "/healthz",
    summary="Liveness: whether the process is healthy",
    responses=_probe(
        Health, "It is.", "It has stopped watching the cluster, keeping runs, or writing audit records."
    ),
)
@performs(Operation.PROBE)
async def healthz(facade: FacadeOf) -> Response:
    """200 while the process watches the cluster, keeps and records, or retries; 503 once it has stopped.

    `apiServer` says whether the API server responds; if not, a restart of the facade would not help.
    """
    for works, otherwise in (
        (facade.watching, _STOPPED),
        (facade.keeping, _NOT_KEEPING),
        (facade.recording, _NOT_RECORDING),
    ):
        if not works:
            return errors.answer(503, otherwise)
    health: Health = {"status": "ok", **_cluster_health(facade)}
    return json(health)


@router.get(
    "/readyz",
    summary="Readiness: whether requests can be served",
    responses=_probe(Readiness, "They can.", "Not yet; the fields of 200, and a detail."),
)
@performs(Operation.PROBE)
async def readyz(facade: FacadeOf) -> Response:
    """200 once every kind has been listed and is watched.

    It stays 200 while the API server is slow or unavailable: reads are served then, writes are 503.
    """
    why = facade.cluster.not_ready_reason if facade.watching else _STOPPED
    state: Readiness = {
        "ready": not why,
        "notYetRead": facade.cluster.unsynced,
        **_cluster_health(facade),
    }
    if state["ready"]:
        return json(state)
    return errors.answer(503, why, more=cast("dict[str, Any]", state))


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
@performs(Operation.PROBE)
async def metrics(facade: FacadeOf) -> Response:
    """In Prometheus' text format."""
    return Response(generate_latest(facade.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _cluster_health(facade: Facade) -> ClusterHealth:
    cluster = facade.cluster
    server = cluster.reachability
    found: ClusterHealth = {
        "apiServer": {"reachable": server.reachable, "seconds": round(server.seconds, 3)},
        "silentTooLong": cluster.stale_kinds,
        "silentSeconds": {kind: round(seconds, 1) for kind, seconds in cluster.silences.items()},
    }
    return {**found, **health_of(facade.kept)}
