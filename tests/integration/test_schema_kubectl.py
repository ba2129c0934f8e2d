"""What a person sees of the custom resources with kubectl."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from localcluster import ClusterError, LocalCluster
from nightcrawler_crds import names
from tests.support import fullobjects
from tests.support.resources import KIND, path_of, schema_of
from tests.support.violations import nodes

EXPLAINED: Final = {
    "wf": "A Workflow defines what to run",
    "wfe": "A WorkflowExecution is one run of a Workflow",
    "ncwf": "A Workflow defines what to run",
    "ncwfe": "A WorkflowExecution is one run of a Workflow",
    "wfenv": "An Environment is a set of nodes to run on",
    "wfprofile": "A ComputeProfile is a preset of resources",
    "wf.spec.steps.resources.gpu": 'a count and a model such as "8x NVIDIA A100"',
    "wf.spec.steps.podTemplate": "A PodTemplateSpec merged into the step's Pod.",
    "wf.spec.config.schedule.catchUp": "Whether missed runs are made up for, oldest first, one at a time.",
    "wf.spec.config.security.permissions.access": "'Full Access', 'View Only', or any of View, Execute, "
    "Edit and Delete",
    "wfe.spec.cancel": "true cancels the run; it cannot be set back to false.",
    "wfe.status.steps.exitCode": "Exit code of the step's container.",
    "wfenv.spec.maintenance.end": "End.",
    "wfprofile.spec.sharedMemory": "Size of /dev/shm, which is added to the step's memory",
}


@pytest.mark.parametrize(("field", "text"), EXPLAINED.items())
def test_kubectl_explains_kinds_and_fields(cluster: LocalCluster, field: str, text: str) -> None:
    assert text in " ".join(cluster.kubectl("explain", field).split())


@pytest.mark.parametrize("kind", KIND)
def test_kubectl_explain_lists_every_field_of_ours(cluster: LocalCluster, kind: str) -> None:
    resource = KIND[kind].resource
    explained = cluster.kubectl("explain", f"{resource.plural}.{names.GROUP}", "--recursive")
    listed = set(re.findall(r"^\s+(\w+)\t", explained, re.MULTILINE))
    assert {path[-1] for path, _ in nodes(schema_of(kind)) if path} - {"*"} <= listed


def test_kubectl_get_shows_workflows_and_executions_at_a_glance(
    cluster: LocalCluster, namespace: str
) -> None:
    put(cluster, namespace, fullobjects.workflow())
    put(cluster, namespace, fullobjects.execution())
    shown = tables(cluster.kubectl("get", "wf,wfe", "--namespace", namespace))
    workflow, execution = shown
    assert list(workflow) == [
        "NAME",
        "ACCEPTED",
        "SCHEDULE",
        "NEXT",
        "LAST",
        "SUSPENDED",
        "ACTIVE",
        "LAST RUN",
        "LAST PHASE",
        "AGE",
    ]
    assert workflow["NAME"] == "workflow.nightcrawler.dev/full"
    assert workflow["ACCEPTED"] == "True"
    assert workflow["SCHEDULE"] == "0 0 * * 1"
    assert workflow["NEXT"] == "2025-07-13T22:00:00Z"
    assert workflow["LAST"] == "2025-07-06T22:00:00Z"
    assert workflow["SUSPENDED"] == "true"
    assert workflow["ACTIVE"] == "1"
    assert re.fullmatch(r"\d+d", workflow["LAST RUN"]) or "y" in workflow["LAST RUN"]
    assert workflow["LAST PHASE"] == "Completed"
    assert list(execution) == ["NAME", "WORKFLOW", "PHASE", "PROGRESS", "ENVIRONMENT", "AGE", "MESSAGE"]
    assert execution["WORKFLOW"] == "image-classification"
    assert execution["PHASE"] == "Running"
    assert execution["PROGRESS"] == "2/5"
    assert execution["ENVIRONMENT"] == "local"
    assert execution["MESSAGE"] == "step 'Model Training' waits for a node"


def test_kubectl_get_shows_the_interval_of_a_workflow_that_has_one(
    cluster: LocalCluster, namespace: str
) -> None:
    spec = {"config": {"schedule": {"type": "interval", "interval": "6 hours"}}}
    put(cluster, namespace, fullobjects.workflow() | {"spec": spec})
    (workflow,) = tables(cluster.kubectl("get", "wf", "--namespace", namespace))
    assert workflow["SCHEDULE"] == "6 hours"


def test_kubectl_get_wide_says_why_a_workflow_cannot_run(cluster: LocalCluster, namespace: str) -> None:
    refused = fullobjects.workflow()
    refused["status"]["conditions"][0] |= {
        "status": "False",
        "message": "steps wait for each other: a → b → a; remove one of these from dependsOn",
    }
    put(cluster, namespace, refused)
    (workflow,) = tables(cluster.kubectl("get", "wf", "--namespace", namespace, "--output", "wide"))
    assert workflow["ACCEPTED"] == "False"
    assert workflow["MESSAGE"].startswith("steps wait for each other: a → b → a;")


def test_kubectl_get_shows_environments_and_profiles(cluster: LocalCluster) -> None:
    for build in (fullobjects.environment, fullobjects.profile):
        put(cluster, "", build())
    try:
        environment, profile = tables(cluster.kubectl("get", "wfenv/full", "wfprofile/full", "-o", "wide"))
    finally:
        cluster.kubectl("delete", "wfenv/full", "wfprofile/full")
    assert environment["DISPLAY NAME"] == "AWS, Virginia"
    assert environment["ALIASES"] == '["awsVirginia","production"]'
    assert environment["DEFAULT"] == "true"
    assert profile["DISPLAY NAME"] == "GPU-Optimized"
    assert [profile[column] for column in ("CPU", "MEMORY", "GPU")] == ["16", "64 GB", "8"]


def test_the_category_names_all_kinds(cluster: LocalCluster, namespace: str) -> None:
    put(cluster, namespace, fullobjects.workflow())
    put(cluster, namespace, fullobjects.execution())
    listed = cluster.kubectl("api-resources", "--categories=nightcrawler", "--output=name").split()
    assert sorted(listed) == sorted(f"{kind.resource.plural}.{names.GROUP}" for kind in KIND.values())
    found = cluster.kubectl("get", "nightcrawler", "--namespace", namespace, "--output=name").split()
    here = [name for name in found if not name.startswith("computeprofile.")]  # those that are installed
    assert sorted(here) == ["workflow.nightcrawler.dev/full", "workflowexecution.nightcrawler.dev/full"]
    assert len(here) < len(found)


def test_kubectl_apply_says_what_is_wrong_in_the_manifest(cluster: LocalCluster, namespace: str) -> None:
    manifest = """
        apiVersion: nightcrawler.dev/v1alpha1
        kind: Workflow
        metadata: {name: training}
        spec:
          steps:
          - {name: Train, image: "python:3.11-slim-bookworm", resources: {cpu: lots}}
    """
    with pytest.raises(ClusterError, match='"training" is invalid') as refused:
        cluster.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=manifest)
    assert 'spec.steps[0].resources.cpu: Unsupported value: "lots"' in str(refused.value)
    assert 'cores such as \\"16 cores\\", 16 or 0.5' in str(refused.value)


def test_server_side_apply_of_one_step_leaves_the_others(cluster: LocalCluster, namespace: str) -> None:
    """Steps are merged by their names, so that two people can each own some."""
    for owner, step in (("ann", "Prepare"), ("bob", "Train")):
        manifest = f"""
            apiVersion: nightcrawler.dev/v1alpha1
            kind: Workflow
            metadata: {{name: training}}
            spec: {{steps: [{{name: {step}, image: "busybox:1", resources: {{cpu: 0.5}}}}]}}
        """
        options = ("--server-side", "--field-manager", owner, "--namespace", namespace)
        cluster.kubectl("apply", *options, "-f", "-", stdin=manifest)
    stored = cluster.api.get(f"{path_of('Workflow', namespace)}/training")
    assert [step["name"] for step in stored["spec"]["steps"]] == ["Prepare", "Train"]
    assert stored["spec"]["steps"][0]["resources"] == {"cpu": 0.5}


def put(cluster: LocalCluster, namespace: str, manifest: dict[str, Any]) -> None:
    """Create an object with the status that it has."""
    collection = path_of(manifest["kind"], namespace)
    cluster.api.post(collection, manifest)
    status = {"status": manifest["status"]}
    cluster.api.merge(f"{collection}/{manifest['metadata']['name']}/status", status)


def tables(printed: str) -> list[dict[str, str]]:
    """The one row of each table that kubectl prints, by its columns' heads."""
    rows = []
    for table in printed.strip().split("\n\n"):
        head, row = table.splitlines()
        columns = [(found.start(), found[0].strip()) for found in re.finditer(r"\S+(?: \S+)*", head)]
        ends = [start for start, _ in columns[1:]] + [None]
        rows.append({name: row[start:end].strip() for (start, name), end in zip(columns, ends, strict=True)})
    return rows
