"""Facades of several namespaces, and of all: ids, lists, streams, and namespaces that come and go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import LocalCluster
from tests.support.accessmatrix import Person
from tests.support.builders import a_workflow, an_execution
from tests.support.cluster import a_namespace
from tests.support.facade import USER, FacadeProcess, Json, Served, give_rights, serving
from tests.support.identities import Site, a_site
from tests.support.polling import eventually
from tests.support.resources import path_of
from tests.support.sse import EventSource

STEP: Json = {"name": "a", "image": "busybox:1"}


def everywhere(cluster: LocalCluster, served: Served) -> None:
    """Give a facade its rights of one namespace in all, as callers.namespaces: ["*"] of the chart does."""
    role = json.loads(
        cluster.kubectl("get", "role", USER, f"--namespace={served.namespace}", "--output=json")
    )
    name = f"{USER}-everywhere-{served.namespace}"
    whole = {"apiVersion": role["apiVersion"], "kind": "ClusterRole", "metadata": {"name": name}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**whole, "rules": role["rules"]}))
    account = f"{served.namespace}:{USER}"
    cluster.kubectl(
        "create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={account}"
    )


@pytest.fixture
def all_of_them(cluster: LocalCluster, tmp_path: Path) -> Iterator[Served]:
    """A facade that serves all namespaces."""
    with a_namespace(cluster) as namespace:
        facade = FacadeProcess(cluster, namespace, tmp_path, namespaces="*")
        served = Served(cluster, facade)
        everywhere(cluster, served)
        try:
            facade.start()
            yield served
        finally:
            facade.close()
            for name in (
                f"{USER}-{namespace}",
                f"{USER}-reviews-{namespace}",
                f"{USER}-everywhere-{namespace}",
            ):
                cluster.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found")


def only_of(served: Served, other: str, workflow: str, run: str) -> None:
    """Lists, statistics and cancellations of one namespace have what is there, and nothing else."""
    assert [one["id"] for one in served.ask("GET", namespace=other)["workflows"]] == [workflow]
    assert served.ask("GET", namespace="elsewhere")["total"] == 0
    only = served.http.get("/api/executions", params={"namespace": other}).json()
    assert [one["id"] for one in only["executions"]] == [run]
    for place, executions in ((other, 1), ("elsewhere", 0)):
        counted = served.http.get("/api/statistics", params={"namespace": place}).json()
        assert counted["executions"] == executions
    groups = served.http.get("/api/statistics", params={"groupBy": "namespace"}).json()["groups"]
    assert {other, served.namespace} <= {group["namespace"] for group in groups}
    many = {"status": "all", "namespace": other, "dryRun": "true"}
    cancelled = served.http.post("/api/executions/cancel", params=many).json()
    assert cancelled["executions"] == [run]


def test_workflows_of_all_namespaces_are_served_while_namespaces_come_and_go(
    cluster: LocalCluster, all_of_them: Served
) -> None:
    served = all_of_them
    home = served.create(steps=[STEP])
    assert ":" not in home
    with a_namespace(cluster) as other:
        cluster.api.post(path_of("Workflow", other), a_workflow("made").step("a").manifest())
        id_ = f"{other}:made"
        eventually(lambda: served.ask("GET", f"/{id_}")["id"] == id_, what="the workflow to be known")
        listed = {one["id"] for one in served.ask("GET", pageSize=100)["workflows"]}
        assert {home, id_} <= listed
        run = served.execute(id_)
        assert run.startswith(f"{other}:exec-")
        shown = served.ask("GET", f"/{id_}/executions/{run}", logs=False)
        assert (shown["id"], shown["workflowId"]) == (run, id_)
        found = served.http.get("/api/executions", params={"workflow": id_}).json()
        assert [(one["id"], one["workflowId"]) for one in found["executions"]] == [(run, id_)]
        served.execute(home)
        only_of(served, other, id_, run)
        events = EventSource(served.http, "/api/events", workflow=id_).events()
        assert next(events).name == "resync"
        served.ask("PUT", f"/{id_}", {"description": "changed"})
        event = next(events)
        assert (event.name, event.data["id"]) == ("workflow", id_)
        events.close()  # type: ignore[attr-defined] # it is a generator
        kept = cluster.api.get(f"{path_of('Workflow', other)}/made")
        assert kept["spec"]["description"] == "changed"
        # Ids are those of one object each.
        for wrong in (
            "made",
            f"{served.namespace}:{home}",
            f"{other}:made:made",
            ":made",
            f"{other}:",
            f"{other}/x",
        ):
            assert served.http.get(f"/api/workflows/{wrong}").status_code == 404, wrong
        served.ask("GET", f"/{id_}/executions/{run.partition(':')[2]}", code=404)
        own = served.ask("POST", body={"name": "new", "namespace": other, "steps": [STEP]}, code=201)
        served.ask("DELETE", f"/{own['id']}")
        problem = served.ask("POST", body={"name": "new", "namespace": "Not a name"}, code=422)
        assert problem["errors"][0]["pointer"] == "/namespace"
        status = served.http.get("/api/status").json()
        assert status["namespaces"] == ["*"]
    eventually(
        lambda: served.http.get(f"/api/workflows/{id_}").status_code == 404, what="the namespace to be gone"
    )
    assert served.http.get("/readyz").status_code == 200


def test_a_further_namespace_that_is_missing_keeps_nobody_from_the_others(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        later = stack.enter_context(a_namespace(cluster))
        # It is there, and the facade has no rights in it yet: to the facade, both look the same.
        served = stack.enter_context(serving(cluster, tmp_path, namespaces=f"{later},never-there"))
        served.create(steps=[STEP])
        status = eventually(
            lambda: served.http.get("/api/status").json(), until=lambda now: "unreadNamespaces" in now
        )
        assert status["unreadNamespaces"] == sorted((later, "never-there"))
        cluster.api.post(path_of("Workflow", later), a_workflow("w").step("a").manifest())
        cluster.api.post(path_of("WorkflowExecution", later), an_execution("w", "e").manifest())
        give_rights(cluster, later, served.namespace)
        eventually(lambda: served.ask("GET", f"/{later}:w")["id"], what="it to be served")
        eventually(lambda: served.ask("GET", f"/{later}:w/executions")["total"] == 1, what="its run")
        eventually(
            lambda: served.http.get("/api/status").json()["unreadNamespaces"],
            # Its other kinds are listed in their own time.
            until=lambda unread: unread == ["never-there"],
        )


PEOPLE = (Person("ann", home="team", other="team"), Person("bob", other="team"))


@pytest.fixture
def site(cluster: LocalCluster, tmp_path: Path) -> Iterator[Site]:
    with a_site(cluster, tmp_path, "oidc", PEOPLE) as made:
        yield made


def test_a_changed_teams_file_holds_at_once_for_lists_and_open_streams(site: Site) -> None:
    ann, bob = site.people["ann"], site.people["bob"]
    workflow = ann.create(name="team")
    assert bob.sees() == []
    rules = json.loads(site.teams.read_text())
    bobs = EventSource(bob.http, "/api/events").events()
    assert next(bobs).name == "resync"
    bob_is_one = {"namespaces": [site.served.namespace], "groups": [{"name": "other-team"}]}
    site.teams.write_text(json.dumps({**rules, "teams": [*rules["teams"], bob_is_one]}))
    eventually(lambda: bob.sees() == [workflow], what="Bob to be of the team")
    ann.ask("PUT", f"/workflows/{workflow}", {"description": "Bob hears of this"})
    event = next(bobs)
    assert (event.name, event.data["id"]) == ("workflow", workflow)
    site.teams.write_text(json.dumps(rules))
    eventually(lambda: bob.sees() == [], what="Bob to have left the team")
    ann.ask("PUT", f"/workflows/{workflow}", {"description": "not of this"})
    own = bob.create(name="own", namespace=site.other)
    event = next(bobs)
    assert (event.name, event.data["id"]) == ("workflow", own)
    bobs.close()  # type: ignore[attr-defined] # it is a generator


def test_what_the_provider_takes_back_is_gone_with_the_token(site: Site) -> None:
    ann = site.people["ann"]
    workflow = ann.create(name="one", config={"security": {"visibility": "Private"}})
    assert site.issuer is not None
    for token, code in (
        (site.issuer.token("ann", groups=["home-team"]), 200),
        (site.issuer.token("ann", groups=[]), 404),
        (site.issuer.token("bob", groups=["home-team"]), 404),
        (site.issuer.token("ann", groups="home-team", aud="others"), 401),
        (site.issuer.token("x", groups=["root"]), 200),
    ):
        answer = site.served.http.get(
            f"/api/workflows/{workflow}", headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == code, answer.text
    ann.ask("GET", f"/workflows/{workflow}")
