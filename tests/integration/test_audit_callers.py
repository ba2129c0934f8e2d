"""Records, repeats and conditions where callers are known: each sees, repeats and changes their own alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from tests.support.accessmatrix import MADE, PEOPLE, Json, Person
from tests.support.archives import sqlite_archive
from tests.support.callers import As
from tests.support.identities import MODES, Site, a_site
from tests.support.polling import eventually

STALE: Final = {"If-Match": "of-another.1"}


@pytest.fixture(scope="module", params=MODES)
def site(
    request: pytest.FixtureRequest, cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("records")
    settings = {"keep": "archive", "archive_url": sqlite_archive(folder)}
    with a_site(cluster, folder, request.param, PEOPLE, **settings) as made:
        ann = made.people["ann"]
        eventually(lambda: ann.send("GET", "/workflows").status_code == 200, what="to know Ann")
        root = made.people["root"]
        eventually(lambda: root.send("GET", "/audit").status_code == 200, what="to have an archive")
        yield made


@pytest.fixture(scope="module")
def made(site: Site) -> dict[str, str]:
    """The ids of the workflows of the matrix."""
    ids = {}
    for one in MADE:
        body: Json = {"name": one.title, "namespace": site.place(one.place)}
        if one.security:
            body["config"] = {"security": one.security}
        ids[one.title] = site.people[one.by].create(**body)
    return ids


def records(caller: As, **query: Any) -> list[Json]:
    """All records that a caller is shown, the newest first."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        page = caller.ask("GET", "/audit", limit=100, **query, **cursor)
        found += page["records"]
        if "nextCursor" not in page:
            return found
        cursor = {"cursor": page["nextCursor"]}


def until(caller: As, count: int, **query: Any) -> list[Json]:
    """They, once there are so many."""
    return eventually(
        lambda: records(caller, **query),
        until=lambda found: len(found) >= count,
        what=f"{count} records of {query}",
    )


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_records_are_shown_to_whoever_may_edit_what_they_are_about(
    site: Site, made: dict[str, str], person: Person
) -> None:
    root, caller = site.people["root"], site.people[person.name]
    for one in MADE:
        id_ = made[one.title]
        [created] = until(root, 1, workflow=id_, action="workflows.create")
        assert (created["object"]["name"], created["status"]) == (id_, 201)
        assert re.search(f"[#:]{one.by}$", created["callerId"]), created
    expected = {made[one.title] for one in MADE if "e" in site.may(person, one)}
    if not expected:
        refused = caller.ask("GET", "/audit", code=403)
        assert "the permission Edit" in refused["detail"]
        return
    about = {record["object"].get("workflow") for record in records(caller)}
    assert about & set(made.values()) == expected
    for one in MADE:
        found = records(caller, workflow=made[one.title])
        assert bool(found) == (made[one.title] in expected), one.title


def test_each_change_and_each_refusal_has_one_record_that_says_whose_it_was(
    site: Site, made: dict[str, str]
) -> None:
    root, people = site.people["root"], site.people
    recorded: list[tuple[str, str, str, int]] = []
    for name, verb, title, status in (
        ("sam", "PUT", "private-roles", 200),
        ("bob", "PUT", "public", 200),
        ("bob", "GET", "private", 404),
        ("bob", "DELETE", "private", 404),
        ("vera", "DELETE", "team-roles", 403),
        ("rita", "PUT", "team", 403),
        ("bob", "GET", "bobs", 200),
    ):
        body = {"description": "mine"} if verb == "PUT" else None
        answer = people[name].send(verb, f"/workflows/{made[title]}", body, headers={"X-Request-Id": title})
        assert answer.status_code == status, answer.text
        if status >= 400 or verb != "GET":
            recorded.append((name, verb, title, status))
    for name, verb, title, status in recorded:
        action = {"GET": "workflows.get", "DELETE": "workflows.delete", "PUT": "workflows.update"}[verb]
        [record] = until(root, 1, requestId=title, action=action)
        assert (record["status"], record["allowed"], record["object"]["workflow"]) == (
            status,
            status < 400,
            made[title],
        )
        assert re.search(f"[#:]{name}$", record["callerId"]), record
        assert record["roles"] == {"sam": ["data scientist"], "vera": ["viewer"]}.get(name, [])
        hidden = record["reason"].startswith(
            "the caller may not see it, and got the answer: there is no workflow"
        )
        assert hidden == (status == 404)
    assert records(root, workflow=made["bobs"], action="workflows.get") == []


def test_who_is_not_known_has_a_record_too(site: Site) -> None:
    sent = {"X-Request-Id": "nobody-1", "Authorization": "Bearer of-nobody"}
    assert site.served.http.get("/api/workflows", headers=sent).status_code == 401
    line = eventually(
        lambda: [one for one in site.served.facade.log.splitlines() if '"requestId":"nobody-1"' in one],
        until=bool,
        what="the line of the refusal",
    )[0]
    assert '"caller":"unknown"' in line
    assert '"action":"workflows.list"' in line
    assert '"status":401' in line
    if site.mode == "oidc":  # by Kubernetes, root is of the two namespaces alone
        [record] = until(site.people["root"], 1, requestId="nobody-1")
        assert (record["caller"], record["allowed"]) == ("unknown", False)
    assert [one for one in records(site.people["lea"]) if one["requestId"] == "nobody-1"] == []


@pytest.mark.parametrize("title", ["team", "elsewhere"])
def test_the_same_key_of_another_caller_is_another_key(site: Site, made: dict[str, str], title: str) -> None:
    key = {"Idempotency-Key": f"key-{title}"}
    path = f"/workflows/{made[title]}/execute"
    second = "bob" if title == "team" else "otto"
    started: dict[str, list[str]] = {}
    for _ in range(2):
        for name in ("ann", second):
            answer = site.people[name].send("POST", path, headers=key)
            assert answer.status_code == 201, answer.text
            replayed = answer.headers.get("Idempotent-Replayed") == "true"
            assert replayed == (name in started)
            shown = answer.json()
            assert (
                answer.headers["Location"]
                == f"/api/workflows/{made[title]}/executions/{shown['executionId']}"
            )
            assert shown["workflowId"] == made[title]
            started.setdefault(name, []).append(shown["executionId"])
    assert {len(set(ids)) for ids in started.values()} == {1}
    assert set(started["ann"]).isdisjoint(started[second])
    site.people["nina"].ask("POST", path, code=404)


def test_what_is_created_in_another_namespace_is_repeated_there(site: Site) -> None:
    ann = site.people["ann"]
    body = {"name": "once", "namespace": site.other, "steps": [{"name": "a", "image": "busybox:1"}]}
    answers = [ann.send("POST", "/workflows", body, headers={"Idempotency-Key": "w"}) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201]
    [id_] = {one.json()["id"] for one in answers}
    assert id_.startswith(f"{site.other}:")
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    copies = [ann.send("POST", f"/workflows/{id_}/clone", headers={"Idempotency-Key": "w"}) for _ in range(2)]
    [copy] = {one.json()["id"] for one in copies}
    assert copy.startswith(f"{site.other}:")
    assert copy != id_
    for made in (id_, copy):
        version = ann.ask("GET", f"/workflows/{made}")["version"]
        stale = ann.send("PUT", f"/workflows/{made}", {"description": "x"}, headers=STALE)
        assert (stale.status_code, f"GET /api/workflows/{made}" in stale.json()["detail"]) == (412, True)
        matched = {"If-Match": version}
        assert ann.send("PUT", f"/workflows/{made}", {"description": "x"}, headers=matched).status_code == 200
        assert ann.send("DELETE", f"/workflows/{made}", headers=matched).status_code == 412
        ann.ask("DELETE", f"/workflows/{made}")
