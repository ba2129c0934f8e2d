"""The status of the installation: from the operator's Lease, from the caches, and when nothing answers."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from prometheus_client import generate_latest
from pydantic import TypeAdapter

from nightcrawler_api.caller import Caller
from nightcrawler_api.installation.operator import operator_status
from nightcrawler_api.installation.schemas import InstallationStatus, OperatorStatus
from nightcrawler_api.state.clustercache import STALE_AFTER_SECONDS
from nightcrawler_crds import clock
from nightcrawler_crds.kube.nativeviews import LeaseView
from tests.support.views import at
from tests.unit.test_api_application import asking, away, no_namespace, no_rights

NOW = at("16:00:00")
HOLDER = '{"identity": "pod_1", "version": "0.1.0"}'


def lease(holder: str | None, renewed: str | None, annotation: str = HOLDER) -> dict[str, Any]:
    """A Lease that is valid for 15 seconds, as the API server sends it."""
    return {
        "metadata": {"name": "nightcrawler-operator", "annotations": {"nightcrawler.dev/holder": annotation}},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    }


@pytest.mark.parametrize(
    ("renewed", "working", "silent"),
    [
        ("2025-07-10T15:59:58.000000Z", True, 2.0),
        ("2025-07-10T15:59:45.000000Z", True, 15.0),
        ("2025-07-10T15:59:44.000000Z", False, 16.0),
        # A clock that is ahead of ours.
        ("2025-07-10T16:00:03.000000Z", True, 0.0),
    ],
)
def test_the_operator_works_while_its_leader_renews_the_lease(
    renewed: str, working: bool, silent: float
) -> None:
    seen = operator_status(msgspec.convert(lease("pod_1", renewed), LeaseView), NOW)
    TypeAdapter(OperatorStatus).validate_python(seen, extra="forbid")
    assert (seen["working"], seen["silentSeconds"]) == (working, silent)
    assert (seen["leader"], seen["version"]) == ("pod_1", "0.1.0")
    assert ("it works" in seen["detail"]) == working


@pytest.mark.parametrize(
    "state", [lease(None, "2025-07-10T15:59:58Z"), lease("pod_1", None), lease("pod_1", "yesterday", "")]
)
def test_without_a_holder_or_a_time_nobody_leads(state: dict[str, Any]) -> None:
    seen = operator_status(msgspec.convert(state, LeaseView), NOW)
    assert seen["working"] is False
    assert seen["detail"].startswith("no operator leads")


async def a_cluster(request: web.Request) -> web.StreamResponse:
    if request.path == "/version":
        return web.json_response({"gitVersion": "v1.34.1"})
    if "/leases/" in request.path:
        return web.json_response(lease("pod_1", clock.to_wire(clock.utcnow() - timedelta(seconds=1))))
    return web.json_response({})


async def test_an_installation_that_is_well_says_so_with_its_versions() -> None:
    async with asking({}, a_cluster) as (client, _):
        answer = await client.get("/api/status")
    assert answer.status_code == 200
    seen = answer.json()
    TypeAdapter(InstallationStatus).validate_python(seen, extra="forbid")
    assert seen["healthy"] is True
    assert (seen["apiServer"]["version"], seen["operator"]["version"]) == ("v1.34.1", "0.1.0")
    assert [one["kind"] for one in seen["caches"]] == [
        "workflows",
        "workflowexecutions",
        "environments",
        "computeprofiles",
    ]
    assert seen["streams"] == {"open": 0, "limit": 1000}


async def test_a_stale_watch_makes_it_unhealthy() -> None:
    async with asking({"workflows": STALE_AFTER_SECONDS + 1}, a_cluster) as (client, _):
        seen = (await client.get("/api/status")).json()
    assert seen["healthy"] is False
    assert [one["kind"] for one in seen["caches"] if one["stale"]] == ["workflows"]


@pytest.mark.parametrize(
    ("answering", "working", "says"),
    [
        (no_namespace, False, "there is no Lease 'nightcrawler-operator' in namespace 'default'"),
        (no_rights, None, "the facade may not read the Lease 'nightcrawler-operator'"),
        (away, None, "the API server does not answer"),
    ],
)
async def test_an_operator_that_cannot_be_seen_is_not_said_to_work(
    answering: Any, working: bool | None, says: str
) -> None:
    async with asking({}, answering) as (client, _):
        answer = await client.get("/api/status")
    assert answer.status_code == 200
    seen = answer.json()
    assert (seen["healthy"], seen["operator"].get("working")) == (False, working)
    assert says in seen["operator"]["detail"]


async def test_a_teams_file_that_cannot_be_used_makes_it_unhealthy_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightcrawler_api.auth.teamsfile._LOOK_SECONDS", 0.0)
    file = tmp_path / "teams.yaml"
    file.write_text("{}")
    usable = "nightcrawler_api_teams_file_usable"
    async with asking({}, a_cluster, identity="kubernetes", teams_file=file) as (_, app):
        for text, is_usable in (("teams: 3", False), ("teams: []", True)):
            file.write_text(text)
            # Nobody has to ask for anything else first.
            metrics = generate_latest(app.state.facade.metrics.registry).decode()
            assert f"{usable} {float(is_usable)}" in metrics
            own = await app.state.facade.installation.show(Caller("root", is_admin=True))
            TypeAdapter(InstallationStatus).validate_python(own, extra="forbid")
            assert (own["healthy"], own["identity"]["usable"]) == (is_usable, is_usable)
            assert ("teams: Input should be a valid array" in own["identity"].get("detail", "")) != is_usable
            assert (await app.state.facade.installation.show(Caller("ann", subject="ann")))["identity"] == {
                "usable": is_usable
            }


async def test_keys_that_cannot_be_fetched_make_it_unhealthy() -> None:
    identity: dict[str, Any] = {
        "identity": "oidc",
        "oidc_issuer": "https://127.0.0.1:1",
        "oidc_audiences": "nightcrawler",
    }
    header = base64.urlsafe_b64encode(b'{"alg": "RS256"}').decode().rstrip("=")
    async with asking({}, a_cluster, **identity) as (client, app):
        for is_usable in (True, False):
            metrics = generate_latest(app.state.facade.metrics.registry).decode()
            assert f"nightcrawler_api_identity_provider_usable {float(is_usable)}" in metrics
            assert "teams_file" not in metrics, "there is none"
            status = await app.state.facade.installation.show(Caller("root", is_admin=True))
            assert (status["healthy"], status["identity"]["usable"]) == (is_usable, is_usable)
            bearer = {"Authorization": f"Bearer {header}.e30.c2ln"}
            assert (await client.get("/api/status", headers=bearer)).status_code == 503


async def test_it_answers_before_anything_could_be_read() -> None:
    async with asking({}, a_cluster) as (client, app):
        app.state.facade.cluster._workflows["nightcrawler-workflows"].synced.clear()
        answer = await client.get("/api/status")
    assert answer.status_code == 200
    assert answer.json()["healthy"] is False
    assert [one["kind"] for one in answer.json()["caches"] if not one["synced"]] == ["workflows"]
