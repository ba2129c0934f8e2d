"""Changes of what others change too: versions, If-Match, and that no update gets lost among two facades."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from localcluster import LocalCluster
from tests.support.facade import PROBLEM, Json, Served, serving, serving_too
from tests.support.resources import path_of

STEP: Json = {"name": "a", "image": "busybox:1"}
CLIENTS = 6
ROUNDS = 12


@pytest.fixture(scope="module")
def two(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two facades of one namespace."""
    with serving(cluster, tmp_path_factory.mktemp("two")) as one, serving_too(one) as other:
        yield one, other


def send(served: Served, verb: str, path: str, condition: str | None, body: Any = None) -> httpx.Response:
    headers = {} if condition is None else {"If-Match": condition}
    sent = {} if body is None else {"json": body}
    return served.http.request(verb, f"/api/workflows/{path}", headers=headers, **sent)


def test_a_version_is_shown_by_all_answers_and_changes_with_the_spec_alone(served: Served) -> None:
    created = served.ask("POST", body={"name": "n", "steps": [STEP]}, code=201)
    workflow = created["id"]
    metadata = served.stored("Workflow", workflow)["metadata"]
    assert created["version"] == f"{metadata['uid']}.1"
    served.report_workflow(workflow, active=1)
    assert served.ask("GET", f"/{workflow}")["version"] == created["version"]
    assert served.ask("PUT", f"/{workflow}", {"name": "n"})["version"] == created["version"]
    changed = served.ask("PUT", f"/{workflow}", {"name": "m"})
    assert changed["version"] == f"{metadata['uid']}.2"
    assert served.ask("GET", f"/{workflow}")["version"] == changed["version"]
    assert served.ask("POST", f"/{workflow}/pause")["version"] == f"{metadata['uid']}.3"


def test_every_spelling_of_the_current_version_lets_a_change_pass_and_of_another_none(
    served: Served,
) -> None:
    workflow = served.create(steps=[STEP])
    stale = served.http.get(f"/api/workflows/{workflow}")
    served.ask("PUT", f"/{workflow}", {"description": "changed"})
    actions: list[tuple[str, str, Any]] = [
        ("PUT", workflow, {"description": "mine"}),
        ("POST", f"{workflow}/pause", None),
        ("POST", f"{workflow}/resume", None),
        ("DELETE", workflow, None),
    ]
    before = served.stored("Workflow", workflow)["spec"]
    old = stale.json()["version"]
    for verb, path, body in actions:
        for spelled in (old, f'"{old}"', f'W/"{old}"', stale.headers["etag"], f'"x", "{old}"', '"*"'):
            refused = send(served, verb, path, spelled, body)
            assert (refused.status_code, refused.headers["content-type"]) == (412, PROBLEM), spelled
            assert f"GET /api/workflows/{workflow}" in refused.json()["detail"]
        assert send(served, verb, path, "two words", body).status_code == 422
    assert served.stored("Workflow", workflow)["spec"] == before

    def spellings() -> list[str]:
        read = served.http.get(f"/api/workflows/{workflow}")
        version = read.json()["version"]
        return [version, f'"{version}"', f'W/"{version}"', read.headers["etag"], f'"x" ,{version}', "*"]

    for number in range(6):
        body = {"description": f"number {number}"}
        assert send(served, "PUT", workflow, spellings()[number], body).status_code == 200
        verb = "resume" if number % 2 else "pause"
        assert send(served, "POST", f"{workflow}/{verb}", spellings()[number]).status_code == 200
    assert send(served, "DELETE", workflow, spellings()[3]).status_code == 200
    assert send(served, "PUT", workflow, "*", {}).status_code == 404


def test_a_refused_deletion_deletes_no_run_even_where_the_cache_is_behind(two: tuple[Served, Served]) -> None:
    for _ in range(10):
        workflow = two[0].create(steps=[STEP])
        run = two[0].execute(workflow)
        old = two[1].ask("GET", f"/{workflow}")["version"]
        two[0].ask("PUT", f"/{workflow}", {"description": "changed"})
        assert send(two[1], "DELETE", workflow, old).status_code == 412
        assert two[0].exists("WorkflowExecution", run)


def test_a_change_that_one_facade_has_answered_is_known_to_the_other(two: tuple[Served, Served]) -> None:
    workflow = two[0].create(steps=[STEP])
    version = two[0].ask("GET", f"/{workflow}")["version"]
    for number in range(30):
        answer = send(two[number % 2], "PUT", workflow, version, {"description": f"number {number}"})
        assert answer.status_code == 200, answer.text
        version = answer.json()["version"]


def test_in_a_storm_of_conditional_changes_each_that_succeeds_is_kept(two: tuple[Served, Served]) -> None:
    workflow = two[0].create(steps=[STEP], tags=["0"])

    def count(client: int) -> list[int]:
        """Count up by one, again and again; returns the numbers that it has written."""
        written: list[int] = []
        chance = random.Random(client)
        while len(written) < ROUNDS:
            read = two[chance.randrange(2)].ask("GET", f"/{workflow}")
            number = int(read["tags"][0]) + 1
            answer = send(two[chance.randrange(2)], "PUT", workflow, read["version"], {"tags": [str(number)]})
            if answer.status_code == 200:
                written.append(number)
            else:
                assert answer.status_code in (409, 412), answer.text
        return written

    with ThreadPoolExecutor(CLIENTS) as pool:
        ledger = sorted(number for written in pool.map(count, range(CLIENTS)) for number in written)
    assert ledger == list(range(1, CLIENTS * ROUNDS + 1)), "each number is written once"
    assert two[0].stored("Workflow", workflow)["spec"]["tags"] == [str(ledger[-1])]


def test_in_a_storm_of_merges_each_that_succeeds_is_kept(two: tuple[Served, Served]) -> None:
    workflow = two[0].create(steps=[STEP])
    status = f"{path_of('Workflow', two[0].namespace)}/{workflow}/status"

    def change(client: int) -> dict[str, Any]:
        """Set a field of its own, again and again; returns what it has been told is kept."""
        kept: dict[str, Any] = {}
        field = ("description", "priority", "tags", "suspend", "maxRunning", "environments")[client]
        for number in range(ROUNDS):
            value = {
                "description": f"number {number}",
                "priority": ("low", "high")[number % 2],
                "tags": [f"t{number}"],
                "suspend": bool(number % 2),
                "maxRunning": number + 1,
                "environments": [f"e{number}"],
            }[field]
            # The operator writes beside it.
            two[0].cluster.api.merge(status, {"status": {"active": client * ROUNDS + number}})
            answer = send(two[number % 2], "PUT", workflow, None, {field: value})
            if answer.status_code == 200:
                kept[field] = value
            else:
                assert answer.status_code == 409, answer.text
        return kept

    with ThreadPoolExecutor(CLIENTS) as pool:
        ledger: dict[str, Any] = {}
        for kept in pool.map(change, range(CLIENTS)):
            ledger |= kept
    assert len(ledger) == CLIENTS
    spec = two[0].stored("Workflow", workflow)["spec"]
    assert {field: spec[field] for field in ledger} == ledger
