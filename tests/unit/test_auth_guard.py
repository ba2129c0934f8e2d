"""What services get for a caller from caches that hold everybody's; streams too, and teams that change."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import APIRouter, FastAPI

from nightcrawler_api.app import create_app
from nightcrawler_api.audit.contract import Within
from nightcrawler_api.audit.schemas import AuditParameters
from nightcrawler_api.audit.service import AuditService
from nightcrawler_api.audit.trail import TRAIL, Trail
from nightcrawler_api.auth.declared import UndeclaredRoute, declared, open_paths
from nightcrawler_api.auth.guard import Guard
from nightcrawler_api.auth.operations import Operation, Reach, performs
from nightcrawler_api.auth.teams import NOBODY, TeamRules, everyone_of
from nightcrawler_api.auth.teamsfile import Teams
from nightcrawler_api.caller import Caller, unidentified
from nightcrawler_api.errors import Invalid, NotAllowed, StateConflict
from nightcrawler_api.events.service import EventService
from nightcrawler_api.http.streams import Stream, Streams
from nightcrawler_api.ids import Ids
from nightcrawler_api.settings import Settings
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.workflows.warnings import Warnings
from nightcrawler_crds.errors import ConfigurationError, NotFound
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import WorkflowView
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore
from tests.support.views import execution, workflow

HOME: Final = "default"
_RECORDS: Final = Operation.LIST_AUDIT_RECORDS


def person(name: str, *groups: str) -> Caller:
    return Caller(name, subject=name, issuer="i", groups=frozenset(groups))


ANN, BOB, OTTO = person("ann", "team"), person("bob", "team"), person("otto")
RULES: Final = TeamRules.model_validate_json(
    '{"admins": {"groups": ["root"]}, "teams": [{"namespaces": ["default"], "groups": [{"name": "team"}]}]}'
)


def a_workflow(name: str, visibility: str, version: int = 1, creator: str = "i#ann") -> WorkflowView:
    return workflow(
        name,
        version=version,
        annotations={"nightcrawler.dev/creator-id": creator},
        config={"security": {"visibility": visibility}},
    )


class Known:
    """A cache of a model of the API server, and what stands in front of it."""

    def __init__(self, teams: Teams | None = None) -> None:
        self.cluster = ClusterCache(ModelStore(ModelServer()), HOME)
        self.guard = Guard(self.cluster, teams or Teams(RULES))
        self.events = EventService(self.cluster, self.guard, default_user="anonymous")

    async def listen(self, caller: Caller) -> AsyncGenerator[tuple[str, str], None]:
        """The names and ids of the events that a caller gets."""
        async for part in self.events.follow(caller, None, None):
            for event in part.decode().strip().split("\n\n"):
                lines = dict(line.partition(": ")[::2] for line in event.splitlines())
                yield lines["event"], json.loads(lines["data"]).get("id", "")


async def received(stream: AsyncGenerator[tuple[str, str], None], count: int) -> list[tuple[str, str]]:
    return [await asyncio.wait_for(anext(stream), 60) for _ in range(count)]


async def test_a_stream_has_what_its_caller_sees_and_tells_who_saw_something_that_it_is_gone() -> None:
    known = Known()
    cluster = known.cluster
    streams = {one.name: known.listen(one) for one in (ANN, BOB, OTTO, unidentified("anonymous"))}
    for stream in streams.values():
        assert await received(stream, 1) == [("resync", "")]
    cluster.cache_workflow(a_workflow("w", "Public"))
    for stream in streams.values():
        assert await received(stream, 1) == [("workflow", "w")]
    cluster.cache_workflow(a_workflow("w", "Team", 2))
    expected = {"ann": "workflow", "bob": "workflow", "otto": "workflowDeleted", "anonymous": "workflow"}
    for name, stream in streams.items():
        assert await received(stream, 1) == [(expected[name], "w")]
    cluster.cache_workflow(a_workflow("w", "Private", 3))
    cluster.cache_execution(execution("e", of="w", owner="uid-of-w", phase="Running"))
    assert await received(streams["bob"], 1) == [("workflowDeleted", "w")]
    assert sorted(await received(streams["ann"], 2)) == [("execution", "e"), ("workflow", "w")]
    # Otto gets no event twice, and Bob none of what happens there.
    cluster.cache_workflow(a_workflow("w", "Private", 4))
    cluster.cache_workflow(a_workflow("last", "Public", 5))
    for name in ("bob", "otto"):
        assert await received(streams[name], 1) == [("workflow", "last")]
    entry = cluster.index.workflow((HOME, "w"))
    assert entry is not None
    cluster.mark_workflow_deleted(entry.view)
    cluster.mark_execution_deleted(execution("e", of="w", owner="uid-of-w"))
    cluster.cache_workflow(a_workflow("last", "Public", 6))
    assert await received(streams["bob"], 1) == [("workflow", "last")]
    events = await received(streams["ann"], 3)
    assert ("workflowDeleted", "w") in events
    assert ("executionDeleted", "e") in events
    for stream in streams.values():
        await stream.aclose()


async def test_what_is_seen_follows_changes_of_protections_and_is_never_anothers() -> None:
    known = Known()
    cluster, guard = known.cluster, known.guard
    operation = Operation.LIST_WORKFLOWS

    async def seen(caller: Caller) -> set[str]:
        kinds = await guard.seen(caller, operation)
        assert kinds is not None
        return {one.visibility for one in kinds}

    cluster.cache_workflow(a_workflow("w", "Private"))
    for _ in range(2):
        assert await seen(ANN) == {"Private"}
        assert await seen(BOB) == await seen(OTTO) == set()
    cluster.cache_workflow(a_workflow("w", "Team", 2))
    cluster.cache_workflow(a_workflow("p", "Public"))
    for _ in range(2):
        assert await seen(BOB) == {"Team", "Public"}
        assert await seen(OTTO) == {"Public"}
    assert await guard.seen(person("root", "root"), operation) is None
    assert await guard.seen(unidentified("anonymous"), operation) is None


async def test_what_may_not_be_seen_is_answered_like_what_is_not_there() -> None:
    known = Known()
    known.cluster.cache_workflow(a_workflow("w", "Private"))
    with pytest.raises(NotFound) as hidden:
        await known.guard.workflow("w", BOB, Operation.DELETE_WORKFLOW)
    known.cluster.reachability.reachable = False
    entry = await known.guard.workflow("w", ANN, Operation.DELETE_WORKFLOW)
    assert entry.view.metadata.name == "w"
    assert str(hidden.value) == "there is no workflow 'w'"
    known.cluster.cache_workflow(a_workflow("w", "Public", 2))
    with pytest.raises(NotAllowed, match="the permission Delete"):
        await known.guard.workflow("w", OTTO, Operation.DELETE_WORKFLOW)


async def test_what_is_hidden_from_a_caller_is_told_to_the_record_of_the_request() -> None:
    known = Known()
    known.cluster.cache_workflow(a_workflow("w", "Private"))
    for id_, caller, hidden in (("w", BOB, "w"), ("none", BOB, None), ("w", ANN, None)):
        token = TRAIL.set(trail := Trail())
        with suppress(NotFound):
            await known.guard.workflow(id_, caller, Operation.SHOW_WORKFLOW)
        TRAIL.reset(token)
        assert (trail.hidden, trail.read and trail.read.workflow) == (hidden is not None, hidden)


async def test_records_may_be_read_of_what_a_caller_administers_or_may_edit() -> None:
    rules = TeamRules.model_validate_json(
        '{"admins": {"groups": ["root"]}, "teams": [{"namespaces": ["default"], "groups": '
        '[{"name": "team"}, {"name": "lead", "admin": true}, {"name": "reader", "readOnly": true}]}]}'
    )
    known = Known(Teams(rules))

    async def readable(caller: Caller) -> Within | None:
        return await known.guard.readable(caller, Operation.LIST_AUDIT_RECORDS)

    assert await readable(ANN) == Within()
    for name in ("Private", "Team", "Public"):
        known.cluster.cache_workflow(a_workflow(name, name))
    assert await readable(ANN) == Within(workflows={HOME: frozenset(("Private", "Team", "Public"))})
    assert await readable(BOB) == Within(workflows={HOME: frozenset(("Team", "Public"))})
    assert await readable(person("lea", "lead")) == Within(frozenset((HOME,)))
    for nobody in (OTTO, person("rita", "reader")):
        assert not await readable(nobody)
    for everybody in (person("root", "root"), unidentified("anonymous")):
        assert await readable(everybody) is None


async def test_who_may_edit_nothing_is_refused_records() -> None:
    known = Known()
    service = AuditService(None, known.guard.ids, partial(known.guard.readable, operation=_RECORDS))
    with pytest.raises(NotAllowed, match="the permission Edit"):
        await service.page(AuditParameters(), OTTO)
    with pytest.raises(StateConflict, match="has no archive"):
        await service.page(AuditParameters(), unidentified("anonymous"))


async def test_where_a_workflow_is_created() -> None:
    several = TeamRules.model_validate_json(
        '{"teams": [{"namespaces": ["a", "b"], "groups": [{"name": "two"}]},'
        ' {"namespaces": ["b"], "groups": [{"name": "one"}]}]}'
    )
    store = Store(Connection(Identity("http://localhost"), "test"))
    guard = Guard(ClusterCache(store, HOME, ("a", "b")), Teams(several))
    assert await guard.creates_in(None, person("x", "one")) == "b"
    assert await guard.creates_in("a", person("x", "two")) == "a"
    with pytest.raises(Invalid, match="in several: a, b"):
        await guard.creates_in(None, person("x", "two"))
    for asked in ("a", HOME, "c"):
        with pytest.raises(NotAllowed, match=f"in the namespace '{asked}'"):
            await guard.creates_in(asked, person("x", "one"))
    with pytest.raises(NotAllowed, match="in any namespace"):
        await guard.creates_in(None, OTTO)
    assert await guard.creates_in(None, unidentified("x")) == HOME
    with pytest.raises(Invalid, match="does not serve 'c'"):
        await guard.creates_in("c", unidentified("x"))


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "../kube-system", "a" * 64, "a\n", "-a"])
async def test_where_all_namespaces_are_served_what_cannot_be_one_is_none(name: str) -> None:
    cluster = ClusterCache(Store(Connection(Identity("http://localhost"), "test")), HOME, None, "own")
    assert [cluster.serves(one) for one in (name, "own", HOME, "a" * 63, "a-1")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    with pytest.raises(Invalid, match="does not serve"):
        await Guard(cluster, Teams(NOBODY)).creates_in(name, unidentified("x"))
    assert await cluster.workflow(name, "w") is None


def test_without_a_file_everybody_is_of_the_home_namespace() -> None:
    assert Teams(everyone_of("home")).placed(OTTO).namespaces == {"home"}
    assert Teams(NOBODY).placed(ANN).namespaces == set()


def test_a_teams_file_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nightcrawler_api.auth.teamsfile._LOOK_SECONDS", 0.0)
    file, place = tmp_path / "teams.yaml", tmp_path / "..data"
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "teams.yaml").write_text("teams:\n- namespaces: [a]\n  groups: [{name: team}]\n")
    # As the kubelet does it for a ConfigMap: a link to a link that changes.
    place.symlink_to(tmp_path / "1")
    file.symlink_to(place / "teams.yaml")
    teams = Teams(NOBODY, file)
    assert teams.placed(ANN).namespaces == {"a"}
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "teams.yaml").write_text("teams:\n- namespaces: [b]\n  groups: [{name: team}]\n")
    (tmp_path / "new").symlink_to(tmp_path / "2")
    os.replace(tmp_path / "new", place)
    assert teams.placed(ANN).namespaces == {"b"}
    for broken in ("teams: [", "teams: 3", "groups: []", "teams: [{namespaces: [A]}]", "[]", "x" * (2 << 20)):
        (tmp_path / "2" / "teams.yaml").write_text(broken)
        assert teams.placed(ANN).namespaces == {"b"}, broken
        assert teams.failure
        with pytest.raises(ConfigurationError, match=r"NIGHTCRAWLER_TEAMS_FILE .*teams\.yaml"):
            Teams(NOBODY, file)
    assert "its former content stays in effect" in caplog.text
    (tmp_path / "2" / "teams.yaml").unlink()
    assert teams.placed(ANN).namespaces == {"b"}
    (tmp_path / "2" / "teams.yaml").write_text("")
    assert teams.placed(ANN).namespaces == set()
    assert not teams.failure


def test_ids_have_their_namespace_unless_it_is_the_home_namespace() -> None:
    ids = Ids("home")
    for namespace, name, id_ in (("home", "w", "w"), ("other", "w", "other:w")):
        assert ids.of(namespace, name) == id_
        assert ids.key(id_) == (namespace, name)
    assert ids.key("home:w") == ("home", "home:w"), "no object has two ids"
    shown: dict[str, Any] = {"id": "e", "workflowId": "w", "name": "x"}
    assert ids.shown(shown, "home") is shown
    assert ids.shown(shown, "other") == {"id": "other:e", "workflowId": "other:w", "name": "x"}


async def test_a_stream_ends_when_the_credentials_of_its_caller_expire() -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"first"
        await asyncio.Event().wait()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    stream = Stream(parts(), Streams(10), Caller("ann", expires=0.0))
    await asyncio.wait_for(stream.stream_response(send), 60)
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


# --- declared operations ---------------------------------------------------------------------------


def an_app() -> FastAPI:
    return create_app(Settings(), Store(Connection(Identity("http://localhost"), "test")))


def test_every_route_declares_an_operation_and_every_operation_is_of_one() -> None:
    found = [operation for _, operation in declared(an_app())]
    assert set(found) == set(Operation)
    assert len(found) == len(Operation) + 2, "the three probes are one"


def test_only_probes_and_documentation_are_open() -> None:
    app = an_app()
    assert {route.path for route, one in declared(app) if one.reach is Reach.OPEN} == {
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert not [path for path in open_paths(app) if path.startswith("/api")]


def test_a_route_without_an_operation_does_not_start() -> None:
    router = APIRouter()

    @router.get("/api/secret")
    async def secret() -> None:
        """Nobody has said who may."""

    app = an_app()
    app.include_router(router)
    with pytest.raises(UndeclaredRoute, match=r"/api/secret \(secret\) declares no operation"):
        open_paths(app)
    app = an_app()
    app.mount("/files", FastAPI())
    with pytest.raises(UndeclaredRoute, match="/files is no route of ours"):
        open_paths(app)
    assert performs(Operation.PROBE)(secret) is secret


async def test_it_is_said_that_nobody_enforces_it_only_where_nobody_is_identified() -> None:
    known = Known()
    view = a_workflow("w", "Private")
    known.cluster.cache_workflow(view)
    assert await Warnings(known.cluster, enforced=True).of(view) == []
    [warning] = await Warnings(known.cluster).of(view)
    assert "config.security.visibility is Private" in warning
