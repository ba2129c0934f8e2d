"""Workflows over REST: environments, templates, merging, deletion, lists; and that reads see writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from localcluster import LocalCluster
from tests.support.builders import a_workflow, an_environment, an_execution
from tests.support.facade import Json, Served, environments, serving
from tests.support.fullobjects import workflow as full_workflow
from tests.support.polling import eventually

STEP: Json = {"name": "a", "image": "busybox:1"}


def spec_of(served: Served, workflow: str) -> Json:
    spec: Json = served.stored("Workflow", workflow)["spec"]
    return spec


# --- creating ------------------------------------------------------------------------------------


def test_what_is_created_is_in_the_cluster_and_in_the_next_read(served: Served) -> None:
    answer = served.http.post("/api/workflows", json={"name": "Grüße 🚀", "steps": [STEP]})
    workflow = answer.json()["id"]
    assert answer.headers["location"] == f"/api/workflows/{workflow}"
    assert served.http.get(answer.headers["location"]).json()["name"] == "Grüße 🚀"
    stored = served.stored("Workflow", workflow)
    assert stored["spec"] == {"displayName": "Grüße 🚀", "steps": [STEP]}
    assert stored["metadata"]["annotations"]["nightcrawler.dev/creator"] == "anonymous"


def test_every_field_of_a_manifest_survives_rest_unchanged(served: Served) -> None:
    spec = full_workflow()["spec"]
    body = {("name" if key == "displayName" else key): value for key, value in spec.items()}
    workflow = served.create(**body)
    stored = spec_of(served, workflow)
    assert stored == {("displayName" if key == "name" else key): value for key, value in body.items()}
    # And what GET answers can be sent back by PUT.
    shown = served.ask("GET", f"/{workflow}")
    served.ask("PUT", f"/{workflow}", shown)
    assert spec_of(served, workflow) == stored


def test_reads_see_writes_at_once_a_hundred_times(served: Served) -> None:
    for number in range(100):
        name = f"Nr. {number}"
        workflow = served.create(name=name, steps=[STEP])
        assert served.ask("GET", "", search=name)["workflows"][0]["id"] == workflow
        served.ask("PUT", f"/{workflow}", {"description": name})
        assert served.ask("GET", f"/{workflow}")["description"] == name
        execution = served.execute(workflow)
        assert served.ask("GET", f"/{workflow}/executions")["executions"][0]["id"] == execution
        assert served.ask("GET", f"/{workflow}")["status"] == "active"
        served.ask("DELETE", f"/{workflow}")
        served.refused("GET", f"/{workflow}", code=404)
        assert served.ask("GET", "", search=name)["total"] == 0


def test_what_kubectl_applies_is_found_at_once_by_its_name(served: Served) -> None:
    for number in range(20):
        served.apply(a_workflow(f"by-kubectl-{number}").step("a"))
        assert served.ask("GET", f"/by-kubectl-{number}")["name"] == f"by-kubectl-{number}"


def test_a_misspelt_field_of_a_pod_template_is_refused_with_its_path_and_nothing_is_kept(
    served: Served,
) -> None:
    workflow = served.create(steps=[STEP])
    misspelt = {"spec": {"securityContxt": {"runAsNonRoot": True}, "nodeSelector": None}}
    body = {"name": "n", "steps": [{**STEP, "podTemplate": misspelt}]}
    for verb, path in (("POST", ""), ("PUT", f"/{workflow}")):
        problem = served.refused(verb, path, body, code=422)
        assert [error["pointer"] for error in problem["errors"]] == [
            "/steps/0/podTemplate/spec/securityContxt",
            "/steps/0/podTemplate/spec/nodeSelector",
        ]
        assert "is it 'securityContext' that was meant?" in problem["errors"][0]["detail"]
    assert spec_of(served, workflow)["steps"] == [STEP]


def test_a_run_whose_pod_template_leaves_its_environment_is_refused(served: Served) -> None:
    lab = an_environment("lab", default=True, node_selector={"pool": "lab"})
    template = {"spec": {"nodeSelector": {"pool": "office"}}}
    workflow = served.create(steps=[{**STEP, "podTemplate": template}])
    with environments(served, lab):
        problem = served.refused("POST", f"/{workflow}/execute", {}, code=422)
    [error] = problem["errors"]
    assert error["pointer"] == "/environment"
    assert "asks for nodes with 'office', and those of the environment 'lab' have 'lab'" in error["detail"]


def test_environments_are_known_by_name_or_alias_once_some_exist(served: Served) -> None:
    local = an_environment("local", aliases=["awsVirginia"], default=True)
    with environments(served, local):
        workflow = served.create(environments={"awsVirginia": True, "dgxCloudCalifornia": False})
        assert spec_of(served, workflow)["environments"] == ["awsVirginia"]
        problem = served.refused(
            "POST", "", {"name": "x", "environments": {"dgxCloudCalifornia": True, "local": True}}, code=422
        )
        detail = "there is no environment 'dgxCloudCalifornia'; there are: awsVirginia, local"
        assert problem["errors"] == [{"pointer": "/environments/dgxCloudCalifornia", "detail": detail}]
    assert served.create(environments=["dgxCloudCalifornia"])


@pytest.fixture(scope="module")
def templated(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A facade whose installation names a template workflow."""
    folder = tmp_path_factory.mktemp("templated")
    with serving(cluster, folder, template_workflow="template", default_user="Jane Roe") as made:
        yield made


def test_a_workflow_without_steps_takes_those_of_the_template(templated: Served) -> None:
    bare = templated.create()
    assert "steps" not in spec_of(templated, bare), "there is no template yet"
    template = a_workflow("template").step("a").config(timeout="5 minutes", retries=1, resources={"cpu": "1"})
    templated.apply(template)
    templated.ask("GET", "/template")
    taken = templated.create(config={"retries": 2})
    assert spec_of(templated, taken) == {
        "displayName": "A workflow",
        "steps": [STEP],
        "config": {"timeout": "5 minutes", "retries": 2, "resources": {"cpu": "1"}},
    }
    assert spec_of(templated, templated.create(steps=[{**STEP, "name": "own"}])) == {
        "displayName": "A workflow",
        "steps": [{**STEP, "name": "own"}],
    }
    assert templated.execute(taken)


def test_the_creator_and_executor_are_the_users_whom_the_installation_names(templated: Served) -> None:
    workflow = templated.create(steps=[STEP])
    assert templated.ask("GET", f"/{workflow}")["creator"] == "Jane Roe"
    execution = templated.execute(workflow)
    assert templated.ask("GET", f"/{workflow}/executions/{execution}")["executor"] == "Jane Roe"


# --- changing ------------------------------------------------------------------------------------


def test_put_merges_objects_replaces_lists_and_removes_what_is_null(served: Served) -> None:
    workflow = served.create(
        description="before",
        tags=["a", "b"],
        environments=["one", "two"],
        steps=[STEP, {**STEP, "name": "b"}],
        config={"timeout": "1 hour", "retries": 2, "resources": {"cpu": 1, "gpu": "8x NVIDIA A100"}},
    )
    served.ask(
        "PUT",
        f"/{workflow}",
        {
            "description": None,
            "tags": ["c"],
            "environments": {"two": False, "three": True},
            "steps": [{**STEP, "timeout": None, "retries": 1}],
            "config": {"retries": None, "resources": {"gpu": None, "memory": "64 GB"}},
        },
    )
    assert spec_of(served, workflow) == {
        "displayName": "A workflow",
        "tags": ["c"],
        "environments": ["one", "three"],
        "steps": [{**STEP, "retries": 1}],
        "config": {"timeout": "1 hour", "resources": {"cpu": 1, "memory": "64 GB"}},
    }


def test_a_refused_change_changes_nothing(served: Served) -> None:
    workflow = served.create(steps=[STEP])
    before = served.stored("Workflow", workflow)
    served.refused("PUT", f"/{workflow}", {"description": "new", "priority": "urgent"}, code=422)
    served.refused("PUT", f"/{workflow}", {"name": None}, code=422)
    assert served.stored("Workflow", workflow) == before


def test_a_value_that_is_a_default_is_written_when_it_is_sent(served: Served) -> None:
    workflow = served.create()
    config = {"timeout": "7 days", "retries": 0}
    served.ask("PUT", f"/{workflow}", {"priority": "medium", "config": config})
    assert spec_of(served, workflow) == {
        "displayName": "A workflow",
        "priority": "medium",
        "config": config,
    }


def test_steps_of_a_change_are_matched_by_name_and_keep_omitted_fields(served: Served) -> None:
    step = {**STEP, "timeout": "1h", "resources": {"cpu": 1}}
    workflow = served.create(steps=[step])
    served.ask("PUT", f"/{workflow}", {"steps": [{"name": STEP["name"], "retries": 2}]})
    assert spec_of(served, workflow)["steps"] == [{**step, "retries": 2}]


def test_a_workflow_with_every_environment_disabled_does_not_run_by_itself(served: Served) -> None:
    workflow = served.create(steps=[STEP], environments={"one": False})
    assert spec_of(served, workflow)["environments"] == []
    problem = served.refused("POST", f"/{workflow}/execute", {}, code=409)
    assert "its list of environments is empty" in problem["detail"]
    assert served.execute(workflow, environment="one")
    served.ask("PUT", f"/{workflow}", served.ask("GET", f"/{workflow}"))
    assert spec_of(served, workflow)["environments"] == []
    served.ask("PUT", f"/{workflow}", {"environments": None})
    assert "environments" not in spec_of(served, workflow)
    assert served.execute(workflow)


def test_a_response_sent_back_writes_only_the_timeouts_it_showed(served: Served) -> None:
    bare = {"config": {"resources": {"gpu": 1}}, "options": {"enableRetry": True}}
    served.apply(a_workflow("unset").step("a").with_spec(**bare))
    shown = served.ask("GET", "/unset")
    before = spec_of(served, "unset")
    assert "displayName" not in before
    served.ask("PUT", "/unset", shown)
    times = {"timeout": "7 days", "retryDelay": "30 seconds"}
    before["config"] |= times
    assert spec_of(served, "unset") == before
    served.ask("PUT", "/unset", {**shown, "description": "new"})
    assert spec_of(served, "unset") == {**before, "description": "new"}


def test_a_workflow_created_by_kubectl_keeps_fields_that_the_facade_does_not_know(served: Served) -> None:
    manifest = (
        a_workflow("labelled")
        .step("a")
        .with_metadata(labels={"team": "vision"}, annotations={"note": "keep"})
    )
    served.apply(manifest)
    served.ask("PUT", "/labelled", {"name": "Labelled"})
    metadata = served.stored("Workflow", "labelled")["metadata"]
    assert metadata["labels"] == {"team": "vision"}
    assert metadata["annotations"]["note"] == "keep"


def test_changes_that_come_at_the_same_time_are_all_kept(served: Served) -> None:
    workflow = served.create()
    fields: list[Json] = [
        {"description": "new"},
        {"tags": ["x"]},
        {"config": {"timeout": "1 hour"}},
        {"config": {"retries": 3}},
    ]
    together = threading.Barrier(len(fields))

    def change(body: Json) -> None:
        together.wait()
        served.ask("PUT", f"/{workflow}", body)

    with ThreadPoolExecutor(len(fields)) as threads:
        list(threads.map(change, fields))
    assert spec_of(served, workflow) == {
        "displayName": "A workflow",
        "description": "new",
        "tags": ["x"],
        "config": {"timeout": "1 hour", "retries": 3},
    }


def test_a_change_is_merged_into_what_kubectl_has_just_changed(served: Served) -> None:
    workflow = served.create()
    path = f"/apis/nightcrawler.dev/v1alpha1/namespaces/{served.namespace}/workflows/{workflow}"
    for number in range(20):
        served.cluster.api.merge(path, {"spec": {"description": f"kubectl {number}"}})
        served.ask("PUT", f"/{workflow}", {"tags": [f"rest {number}"]})
        spec = spec_of(served, workflow)
        assert (spec["description"], spec["tags"]) == (f"kubectl {number}", [f"rest {number}"])


# --- deleting ------------------------------------------------------------------------------------


def test_deleting_a_workflow_ends_and_deletes_its_runs(served: Served) -> None:
    workflow = served.create(steps=[STEP])
    executed = [served.execute(workflow) for _ in range(3)]
    served.report(executed[0], phase="Completed", completionTime="2025-07-10T16:01:25Z")
    # Made by kubectl, and not yet tied to its workflow by the operator.
    adrift = served.apply(an_execution(workflow))["metadata"]["name"]
    eventually(lambda: served.ask("GET", f"/{workflow}/executions")["total"] == 4)
    served.ask("DELETE", f"/{workflow}")
    assert not served.exists("Workflow", workflow)
    for live in (*executed[1:], adrift):
        assert not served.exists("WorkflowExecution", live), "what is in flight goes at once"
    eventually(
        lambda: not served.exists("WorkflowExecution", executed[0]), what="the ended run to be collected"
    )
    for path in ("", "/executions", f"/executions/{executed[0]}"):
        served.refused("GET", f"/{workflow}{path}", code=404)
    served.refused("DELETE", f"/{workflow}", code=404)
    served.refused("POST", f"/{workflow}/execute", {}, code=404)


def test_a_workflow_that_somebody_else_has_just_deleted_is_404(served: Served) -> None:
    for verb, path, body in (("PUT", "", {}), ("DELETE", "", None), ("POST", "/execute", None)):
        workflow = served.create(steps=[STEP])
        served.cluster.kubectl("delete", "workflow", workflow, f"--namespace={served.namespace}")
        if path:  # an execution can be created for a moment longer, and then goes with its workflow
            gone = partial(served.http.get, f"/api/workflows/{workflow}")
            eventually(gone, until=lambda answer: answer.status_code == 404)
        problem = served.refused(verb, f"/{workflow}{path}", body, code=404)
        assert workflow in problem["detail"]


# --- lists ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A facade with 25 workflows, of which some are scheduled, urgent or running."""
    with serving(cluster, tmp_path_factory.mktemp("many")) as made:
        for number in range(25):
            body: Json = {
                "name": f"Pipeline {number:02}",
                "description": "Trains" if number % 2 else "Checks",
            }
            if number % 5 == 0:
                body["priority"] = "critical"
            if number == 7:
                body["config"] = {"schedule": {"type": "interval", "interval": "1 hour"}}
            workflow = made.create(**body, steps=[STEP])
            if number == 8:
                made.execute(workflow)
        yield made


def names(answer: Json) -> list[str]:
    return [row["name"] for row in answer["workflows"]]


def test_pages_together_are_the_list_and_each_says_how_long_it_is(many: Served) -> None:
    everything = names(many.ask("GET", "", pageSize=100))
    pages = [many.ask("GET", "", page=number) for number in (1, 2, 3, 4)]
    assert [len(page["workflows"]) for page in pages] == [10, 10, 5, 0]
    assert [name for page in pages for name in names(page)] == everything
    assert {(page["total"], page["pageSize"]) for page in pages} == {(25, 10)}
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert many.ask("GET", "", page=10**30)["workflows"] == []


def test_the_newest_come_first(many: Served) -> None:
    rows = many.ask("GET", "", pageSize=100)["workflows"]
    created = [many.ask("GET", f"/{row['id']}")["createdAt"] for row in rows]
    assert created == sorted(created, reverse=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "active"}, {7, 8}),
        ({"status": "inactive", "priority": "critical"}, {0, 5, 10, 15, 20}),
        ({"priority": "medium", "search": "TRAINS"}, {n for n in range(25) if n % 2 and n % 5}),
        ({"priority": "low"}, set()),
        ({"search": "pipeline 1"}, set(range(10, 20))),
        ({"search": "no such thing"}, set()),
        ({"status": "", "priority": "", "search": ""}, set(range(25))),
    ],
)
def test_filters_narrow_the_list(many: Served, query: dict[str, Any], expected: set[int]) -> None:
    answer = many.ask("GET", "", pageSize=100, **query)
    assert {int(name.split()[1]) for name in names(answer)} == expected
    assert answer["total"] == len(expected)


def test_an_unknown_compute_profile_is_refused_with_the_existing_ones(served: Served) -> None:
    body = {"name": "x", "steps": [STEP], "config": {"computeProfile": "Huge"}}
    problem = served.refused("POST", "", body, code=422)
    detail = (
        "there is no compute profile 'Huge'; there are: "
        "CPU-Optimized, GPU-Optimized, Memory-Optimized, Standard"
    )
    assert problem["errors"] == [{"pointer": "/config/computeProfile", "detail": detail}]
    workflow = served.create(steps=[STEP], config={"computeProfile": "CPU-Optimized"})
    shown = served.ask("GET", f"/{workflow}", code=200)["config"]
    assert shown["resources"] == {"cpu": 8, "memory": "8Gi", "gpu": "None"}
    # Sent back as it was answered, the profile's values do not become the workflow's own.
    served.ask("PUT", f"/{workflow}", served.ask("GET", f"/{workflow}", code=200), code=200)
    assert "resources" not in spec_of(served, workflow)["config"]
