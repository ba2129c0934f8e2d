"""Every request about a workflow, by everybody, in each mode, against the oracle; and all about many.

Each workflow has a run that goes on, and one that only the archive has.

People, workflows and what they may are in tests/support/accessmatrix.py, which knows nothing of the code.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from localcluster import LocalCluster
from nightcrawler_crds.names import ANNOTATION_DUTIES_DONE, EXECUTIONS
from tests.support.accessmatrix import CLONE, MADE, PEOPLE, REQUESTS, Asked, Json, Made, Person
from tests.support.archives import sqlite_archive
from tests.support.callers import As
from tests.support.identities import MODES, Site, a_site
from tests.support.polling import eventually
from tests.support.resources import path_of
from tests.support.sse import EventSource

ROOT: Final = next(person for person in PEOPLE if person.root)


class Matrix:
    """The workflows of the matrix in a facade, each with a run, and one that only the archive has."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ids: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.archived: dict[str, str] = {}
        self._numbers = itertools.count(1)
        # Whoever signs in first makes the facade ask who is who.
        eventually(
            lambda: site.people["ann"].send("GET", "/workflows").status_code == 200, what="to know Ann"
        )
        for made in MADE:
            self.ids[made.title], self.runs[made.title] = self.create(made)
            self.archived[made.title] = site.people[made.by].execute(self.ids[made.title])
        self._archive_them()

    def _archive_them(self) -> None:
        """End some runs, and delete them once the archive has them."""
        served = self.site.served
        paths = {}
        for made in MADE:
            run = self.archived[made.title]
            namespace = self.site.place(made.place)
            paths[run] = f"{path_of(EXECUTIONS.kind, namespace)}/{run.rpartition(':')[2]}"
            ended = {"phase": "Completed", "completionTime": "2025-07-10T15:00:00Z"}
            owing = {"settled": False, "duties": ["Archive"]}
            served.cluster.api.merge(f"{paths[run]}/status", {"status": {**ended, **owing}})
        for path in paths.values():
            noted = eventually(
                lambda path=path: served.cluster.api.get(path)["metadata"].get("annotations", {}),  # type: ignore[misc]
                until=lambda found: ANNOTATION_DUTIES_DONE in found,
                what="a run to be archived",
            )
            assert noted[ANNOTATION_DUTIES_DONE] == "Archive"
            served.cluster.api.delete(path)
        root = self.site.people["root"]
        eventually(
            lambda: [one["id"] for one in all_of(root, "/executions", "executions") if "archived" in one],
            until=lambda found: set(found) == paths.keys(),
            what="only the archive to have them",
        )

    def create(self, made: Made) -> tuple[str, str]:
        """A new workflow of this kind, and a run of it."""
        creator = self.site.people[made.by]
        body: Json = {"name": made.title, "namespace": self.site.place(made.place)}
        if made.security:
            body["config"] = {"security": made.security}
        workflow = creator.create(**body)
        return workflow, creator.execute(workflow)

    def may(self, person: Person, made: Made) -> str:
        return self.site.may(person, made)

    def expected(self, person: Person, made: Made, asked: Asked) -> int:
        may = self.may(person, made)
        return 404 if "v" not in may else asked.code if asked.takes in may else 403

    def body(self, asked: Asked, workflow: str) -> Any:
        """A body that changes something, whatever was changed before."""
        if asked.verb != "PUT":
            return asked.body
        number = next(self._numbers)
        if "description" in asked.body:
            return {"description": f"changed {number} times"}
        if "schedule" in asked.body["config"]:
            return {
                "config": {"schedule": {"type": "cron", "cron": f"{number % 60} {number // 60 % 24} 1 1 *"}}
            }
        shown = self.site.people["root"].ask("GET", f"/workflows/{workflow}")
        known = shown["config"].get("security", {}).get("auditLogging", False)
        return {"config": {"security": {"auditLogging": not known}}}

    def path(self, asked: Asked, made: Made) -> str:
        return asked.path.format(w=self.ids[made.title], e=self.runs[made.title])

    def seen(self, person: Person) -> set[str]:
        return {self.ids[made.title] for made in MADE if "v" in self.may(person, made)}


@pytest.fixture(scope="module", params=MODES)
def matrix(
    request: pytest.FixtureRequest, cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix")
    archive = {"keep": "archive", "archive_url": sqlite_archive(folder)}
    with a_site(cluster, folder, request.param, PEOPLE, **archive) as site:
        yield Matrix(site)


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_every_request_about_a_workflow_is_decided_as_the_oracle_says(matrix: Matrix, person: Person) -> None:
    caller = matrix.site.people[person.name]
    wrong = []
    for made, asked in itertools.product(MADE, REQUESTS):
        expected = matrix.expected(person, made, asked)
        if asked.changes and expected == asked.code:
            continue
        body = matrix.body(asked, matrix.ids[made.title])
        answer = caller.send(asked.verb, matrix.path(asked, made), body, headers=asked.headers)
        if answer.status_code != expected:
            wrong.append(
                (made.title, asked.verb, asked.path, body, expected, answer.status_code, answer.text[:200])
            )
        elif expected == 403:
            missing = {"x": "Execute", "e": "Edit", "d": "Delete", "f": "Full Access"}[asked.takes]
            assert f"the permission {missing}" in answer.json()["detail"]
        elif expected == 404:
            what, ids = ("workflow", matrix.ids) if "{w}" in asked.path else ("execution", matrix.runs)
            assert answer.json()["detail"] == f"there is no {what} {ids[made.title]!r}"
    assert not wrong, wrong


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_an_archived_run_is_seen_by_those_who_see_its_workflow(matrix: Matrix, person: Person) -> None:
    caller = matrix.site.people[person.name]
    wrong = []
    reads = [asked for asked in REQUESTS if asked.verb == "GET" and "{e}" in asked.path]
    for made, asked in itertools.product(MADE, reads):
        path = asked.path.format(w=matrix.ids[made.title], e=matrix.archived[made.title])
        answer = caller.send("GET", path)
        if answer.status_code != matrix.expected(person, made, asked):
            wrong.append((made.title, path, answer.status_code, answer.text[:200]))
        elif answer.status_code == 200 and path.startswith("/executions/"):
            assert answer.json()["archived"] is True
    assert not wrong, wrong


def all_of(caller: As, path: str, field: str, **query: Any) -> list[Json]:
    """All entries of a list, part by part; their number must be the total of each part."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        part = caller.ask("GET", path, **query, **cursor)
        found += part[field]
        if "nextCursor" not in part:
            assert part["total"] == len(found)
            return found
        cursor = {"cursor": part["nextCursor"]}


def rows_of(caller: As, path: str, **query: Any) -> list[dict[str, str]]:
    """The rows of a table for spreadsheets."""
    answer = caller.send("GET", path, params={"format": "csv", **query})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(answer.text.splitlines()))


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_lists_totals_searches_and_statistics_are_of_what_a_caller_sees(
    matrix: Matrix, person: Person
) -> None:
    caller, seen = matrix.site.people[person.name], matrix.seen(person)
    assert set(caller.sees()) == seen
    assert set(caller.sees(status="all", sort="name")) == seen
    workflows = caller.ask("GET", "/workflows", pageSize=1)
    assert (workflows["total"], len(workflows["workflows"])) == (len(seen), min(1, len(seen)))
    for made in MADE:
        id_ = matrix.ids[made.title]
        assert (id_ in caller.sees(search=made.title)) == (id_ in seen)
        assert bool(caller.sees_runs(workflow=id_)) == (id_ in seen)
    runs = all_of(caller, "/executions", "executions", limit=100)
    assert {one["workflowId"] for one in runs} == seen
    archived = [one["id"] for one in runs if "archived" in one]
    assert sorted(archived) == sorted(
        matrix.archived[made.title] for made in MADE if matrix.ids[made.title] in seen
    )
    for namespace in (matrix.site.served.namespace, matrix.site.other):
        there = {one["id"] for one in runs if one["id"].startswith(f"{matrix.site.other}:")}
        there = there if namespace == matrix.site.other else {one["id"] for one in runs} - there
        shown = all_of(caller, "/executions", "executions", limit=100, namespace=namespace)
        assert {one["id"] for one in shown} == there
    assert caller.ask("GET", "/statistics")["executions"] == len(runs)
    for path, most in (("/statistics", {}), ("/executions", {"limit": 100})):
        groups = caller.ask("GET", path, groupBy="workflow", **most)["groups"]
        assert {one["workflowId"] for one in groups} == seen
        table = rows_of(caller, path, groupBy="workflow")
        assert {row["workflowId"] for row in table} - {""} == seen
    exported = rows_of(caller, "/executions")
    assert sorted(row["id"] for row in exported) == sorted(one["id"] for one in runs)
    listed = [one["id"] for one in all_of(caller, "/workflows", "workflows", pageSize=2)]
    assert sorted(listed) == sorted(seen)


def test_tags_and_answers_of_one_caller_are_never_anothers(matrix: Matrix) -> None:
    paths = ["/workflows?pageSize=100", "/executions?limit=100", "/statistics"]
    paths += [f"/workflows/{id_}" for id_ in matrix.ids.values()]
    tags: dict[tuple[str, str], str] = {}
    for path, person in itertools.product(paths, PEOPLE):
        answer = matrix.site.people[person.name].send("GET", path)
        if answer.status_code == 200:
            tags[path, person.name] = answer.headers["etag"]
            assert "private" in answer.headers["cache-control"]
    for (path, owner), other in itertools.product(tags, PEOPLE):
        own = tags.get((path, other.name))
        answer = matrix.site.people[other.name].send(
            "GET", path, headers={"If-None-Match": tags[path, owner]}
        )
        expected = 404 if own is None else 304 if own == tags[path, owner] else 200
        assert answer.status_code == expected, (path, owner, other.name)


def reported_to(caller: As, since: str) -> set[str]:
    """The workflows that a caller's stream reports on after an event, until nothing comes for a second."""
    found: set[str] = set()
    silent = httpx.Timeout(30, read=1)
    with (
        contextlib.suppress(httpx.ReadTimeout),
        caller.http.stream("GET", "/api/events", headers={"Last-Event-ID": since}, timeout=silent) as answer,
    ):
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                found.add(event.get("workflowId", event["id"]))
    return found


def test_event_streams_tell_of_what_a_caller_sees_and_of_nothing_else(matrix: Matrix) -> None:
    root, ids = matrix.site.people["root"], set(matrix.ids.values())
    source = EventSource(root.http, "/api/events")
    events = source.events()
    assert next(events).name == "resync"
    since = source.last_id
    for id_ in ids:
        root.ask("PUT", f"/workflows/{id_}", {"description": f"changed after {since}"})
    reported: set[str] = set()
    while not reported >= ids:
        reported.add(next(events).data["id"])
    events.close()  # type: ignore[attr-defined] # it is a generator

    def listen(person: Person) -> None:
        caller = matrix.site.people[person.name]
        eventually(
            lambda: reported_to(caller, since),
            until=lambda found: found == matrix.seen(person),
            what=f"{person.name} to get events of what they may see alone",
        )

    with ThreadPoolExecutor(len(PEOPLE)) as pool:
        list(pool.map(listen, PEOPLE))


def test_many_are_cancelled_only_where_the_caller_may(matrix: Matrix) -> None:
    for person in PEOPLE:
        caller = matrix.site.people[person.name]
        for made in MADE:
            workflow, run = matrix.ids[made.title], None
            creator = matrix.site.people[made.by]
            run = creator.execute(workflow)
            answer = caller.ask("POST", "/executions/cancel", status="all", workflow=workflow)
            may = matrix.may(person, made)
            assert (run in answer["executions"]) == ("x" in may), (person.name, made.title)
            refused = {one["id"]: one["detail"] for one in answer["notCancelled"]}
            assert (run in refused) == ("v" in may and "x" not in may), (person.name, made.title)
            assert all("Execute" in detail for detail in refused.values())


def test_who_may_delete_does(matrix: Matrix) -> None:
    for person, made in itertools.product(PEOPLE, MADE):
        if "d" in matrix.may(person, made):
            workflow, _ = matrix.create(made)
            matrix.site.people[person.name].ask("DELETE", f"/workflows/{workflow}")
            assert matrix.site.people["root"].send("GET", f"/workflows/{workflow}").status_code == 404


def test_workflows_are_created_and_copied_where_the_caller_may(matrix: Matrix) -> None:
    site = matrix.site
    for person, which in itertools.product(PEOPLE, ("home", "other")):
        may = person.root or getattr(person, which) in ("team", "lead")
        body = {"name": "new", "namespace": site.place(which)}
        answer = site.people[person.name].send("POST", "/workflows", body)
        assert answer.status_code == (201 if may else 403), (person.name, which, answer.text)
        if not may:
            assert "the permission Edit" in answer.json()["detail"]
            continue
        created = answer.json()["id"]
        assert created.startswith(f"{site.other}:") == (which == "other")
        site.people[person.name].ask("DELETE", f"/workflows/{created}")
    otto, nina, public = site.people["otto"], site.people["nina"], matrix.ids["public"]
    assert otto.ask("POST", "/workflows", {"name": "own"}, code=201)["id"].startswith(f"{site.other}:")
    assert "in any namespace" in nina.ask("POST", "/workflows", {"name": "own"}, code=403)["detail"]
    if site.mode == "oidc":  # by Kubernetes, nobody sees what they have no rights to
        copy = otto.ask("POST", f"/workflows/{public}/clone", code=201)
        assert copy["id"].startswith(f"{site.other}:")
        assert otto.ask("GET", f"/workflows/{copy['id']}")["creator"] == copy["creator"] != "Ann"
        nina.ask("POST", f"/workflows/{public}/clone", code=403)
    nina.ask("POST", f"/workflows/{matrix.ids['private']}/clone", code=404)


def test_a_creator_is_who_it_was_and_not_who_a_manifest_says(matrix: Matrix) -> None:
    site = matrix.site
    ann = site.people["ann"]
    stored = site.served.stored("Workflow", matrix.ids["private"])
    own = stored["metadata"]["annotations"]["nightcrawler.dev/creator-id"]
    manifest = {
        "apiVersion": "nightcrawler.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": "imported",
            "namespace": site.served.namespace,
            "annotations": {"nightcrawler.dev/creator-id": own, "nightcrawler.dev/creator": "Ann"},
        },
        "spec": {**stored["spec"], "displayName": "Imported"},
    }
    site.people["bob"].ask("POST", "/workflows/import", manifest, code=201)
    kept = site.served.stored("Workflow", "imported")["metadata"]["annotations"]
    assert kept["nightcrawler.dev/creator-id"] not in ("", own)
    assert kept["nightcrawler.dev/creator"] != stored["metadata"]["annotations"]["nightcrawler.dev/creator"]
    ann.ask("GET", "/workflows/imported", code=404)
    site.people["bob"].ask("DELETE", "/workflows/imported")


def test_the_matrix_has_every_route_about_a_workflow(matrix: Matrix) -> None:
    document = matrix.site.served.http.get("/openapi.json").json()
    routes = {
        f"{verb.upper()} {path.removeprefix('/api')}"
        for path, operations in document["paths"].items()
        if "{workflowId}" in path or "{executionId}" in path
        for verb in operations
    }
    covered = {
        f"{asked.verb} {asked.path.partition('?')[0]}".replace("/revisions/latest", "/revisions/{revisionId}")
        for asked in REQUESTS
    }
    covered.add(CLONE)
    named = {one.replace("{w}", "{workflowId}").replace("{e}", "{executionId}") for one in covered}
    # A revision is there only after a run has begun; it is read as the difference of two is.
    assert routes - named == {"GET /workflows/{workflowId}/revisions/{revisionId}"}
    for path, operations in document["paths"].items():
        if path.startswith("/api/"):
            for verb, operation in operations.items():
                assert {"401", "503"} <= set(operation["responses"]), (path, verb)


def test_nobody_is_answered_without_a_token(matrix: Matrix) -> None:
    http = matrix.site.served.http
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert http.get(path).status_code == 200
    document = http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for verb in operations if path.startswith("/api/") else ():
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
                answer = http.request(verb, path, headers={**headers, "If-None-Match": "*"})
                assert answer.status_code == 401, (verb, path, headers, answer.text)
                assert answer.headers["www-authenticate"].startswith('Bearer realm="nightcrawler"')
    assert http.get("/nothing/there").status_code == 401
