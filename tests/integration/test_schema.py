"""Every rule of the schemas on a real API server: what it refuses, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from tests.support import fullobjects
from tests.support.resources import KIND, path_of, refused_create, refused_merge, schema_of
from tests.support.violations import COVERED, Path, Violation, nodes, violations


def cases(part: str) -> list[Any]:
    return [
        pytest.param(kind, violation, id=f"{kind}-{violation}")
        for kind in KIND
        for violation in violations(
            schema_of(kind)["properties"][part], fullobjects.ALL[kind]()[part], (part,)
        )
    ]


@pytest.mark.parametrize(("kind", "violation"), cases("spec"))
def test_a_spec_that_breaks_the_schema_is_refused_with_the_place_and_what_is_allowed(
    cluster: LocalCluster, kind: str, violation: Violation
) -> None:
    error = refused_create(cluster, violation.applied_to(fullobjects.ALL[kind]()))
    assert violation.where in error
    assert violation.expected in error


@pytest.fixture(scope="module")
def existing(cluster: LocalCluster) -> Iterator[None]:
    """An object of each kind that really is there, for only such a one can be given a status."""
    for kind, build in fullobjects.ALL.items():
        cluster.api.post(path_of(kind), build())
    yield
    for kind in fullobjects.ALL:
        cluster.api.delete(f"{path_of(kind)}/full")


@pytest.mark.usefixtures("existing")
@pytest.mark.parametrize(("kind", "violation"), cases("status"))
def test_a_status_that_breaks_the_schema_is_refused_too(
    cluster: LocalCluster, kind: str, violation: Violation
) -> None:
    broken = violation.applied_to(fullobjects.ALL[kind]())
    error = refused_merge(cluster, f"{path_of(kind)}/full/status", {"status": broken["status"]})
    assert violation.where in error
    assert violation.expected in error


@pytest.mark.parametrize("kind", KIND)
def test_every_keyword_of_the_schemas_is_tested(kind: str) -> None:
    for path, node in nodes(schema_of(kind)):
        assert node.keys() <= COVERED, path


# --- what only a rule forbids ----------------------------------------------------------------------

_NO_LABEL = "is lower-case letters, digits and '-', a letter first"
_STEP_NAME = "a step's name is one line that neither begins nor ends with a space"
_VARIABLE = "a variable has either value or valueFrom; leave one of them out"
_SCHEDULE = "a schedule of type cron needs the field cron, one of type interval the field interval"
_IMMUTABLE = "an execution cannot be changed, only cancelled (cancel: true, once); create a new one instead"
_STEPS: Path = ("spec", "steps")

RULES: Final[list[tuple[str, Path, Any, str]]] = [
    ("Workflow", ("metadata", "name"), "a" * 41, "the name of a Workflow has at most 40 characters"),
    ("Workflow", ("metadata", "name"), "a.b", f"the name of a Workflow {_NO_LABEL}"),
    ("Workflow", ("metadata", "name"), "4ever", f"the name of a Workflow {_NO_LABEL}"),
    (
        "WorkflowExecution",
        ("metadata", "name"),
        "a" * 53,
        "the name of a WorkflowExecution has at most 52 characters",
    ),
    ("WorkflowExecution", ("metadata", "name"), "a.b", f"the name of a WorkflowExecution {_NO_LABEL}"),
    (
        "Workflow",
        ("spec", "order"),
        "Sequence",
        "a step has dependsOn, but order is Sequence; leave one of them out, or set order: Graph",
    ),
    ("Workflow", (*_STEPS, 0, "name"), " Data Preparation", _STEP_NAME),
    ("Workflow", (*_STEPS, 0, "name"), "Data Preparation ", _STEP_NAME),
    ("Workflow", (*_STEPS, 0, "name"), "Data\nPreparation", _STEP_NAME),
    ("Workflow", (*_STEPS, 0, "name"), "Data\x00Preparation", _STEP_NAME),
    (
        "Workflow",
        (*_STEPS, 1, "nodes"),
        2,
        "a step on several nodes is not supported yet: leave nodes out",
    ),
    ("Workflow", (*_STEPS, 1, "env", 0), {"name": "A", "value": "1", "valueFrom": {}}, _VARIABLE),
    ("ComputeProfile", ("spec", "env", 0), {"name": "A", "value": "1", "valueFrom": {}}, _VARIABLE),
    ("Workflow", ("spec", "config", "schedule"), {"type": "cron"}, _SCHEDULE),
    ("Workflow", ("spec", "config", "schedule"), {"type": "cron", "interval": "1h"}, _SCHEDULE),
    ("Workflow", ("spec", "config", "schedule"), {"type": "interval"}, _SCHEDULE),
    ("Workflow", ("spec", "config", "schedule"), {"type": "interval", "cron": "0 0 * * 1"}, _SCHEDULE),
    (
        "Environment",
        ("spec", "maintenance", 0),
        {"start": "2025-07-10T14:45:00Z", "end": "2025-07-10T15:45:00+01:00"},
        "a maintenance window must end after it begins",
    ),
]


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"), RULES, ids=[f"{kind}-{message}" for kind, _, _, message in RULES]
)
def test_what_a_rule_forbids_is_refused_with_its_message(
    cluster: LocalCluster, kind: str, path: Path, value: Any, message: str
) -> None:
    violation = Violation("rule", path, value, message)
    error = refused_create(cluster, violation.applied_to(fullobjects.ALL[kind]()))
    assert violation.where in error
    assert message in error


def test_every_rule_of_the_schemas_is_broken_by_a_test() -> None:
    rules = {
        (kind, rule["message"])
        for kind in KIND
        for _, node in nodes(schema_of(kind))
        for rule in node.get("x-kubernetes-validations", ())
    }
    assert rules == {(kind, message) for kind, _, _, message in RULES} | {("WorkflowExecution", _IMMUTABLE)}


# --- an execution's spec ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"batchSize": 65}},
        {"parameters": {"nothing": 1}},
        {"parameters": None},
        {"workflowRef": {"name": "another"}},
        {"environment": "staging"},
        {"executor": "Jane Doe"},
        {"trigger": None},
    ],
    ids=str,
)
def test_an_execution_cannot_be_changed(
    cluster: LocalCluster, namespace: str, change: dict[str, Any]
) -> None:
    cluster.api.post(path_of("WorkflowExecution", namespace), fullobjects.execution())
    there = f"{path_of('WorkflowExecution', namespace)}/full"
    assert _IMMUTABLE in refused_merge(cluster, there, {"spec": change})


def test_an_execution_is_cancelled_once_and_for_good(cluster: LocalCluster, namespace: str) -> None:
    cluster.api.post(path_of("WorkflowExecution", namespace), fullobjects.execution())
    there = f"{path_of('WorkflowExecution', namespace)}/full"
    cancelled = cluster.api.merge(there, {"spec": {"cancel": True}})
    again = cluster.api.merge(there, {"spec": {"cancel": True}})
    assert again == cancelled
    assert _IMMUTABLE in refused_merge(cluster, there, {"spec": {"cancel": False}})
    assert _IMMUTABLE in refused_merge(cluster, there, {"spec": {"environment": "staging"}})
    # Taken away, it would be false again, by its default.
    assert _IMMUTABLE in refused_merge(cluster, there, {"spec": {"cancel": None}})


def test_labels_of_an_execution_may_change(cluster: LocalCluster, namespace: str) -> None:
    cluster.api.post(path_of("WorkflowExecution", namespace), fullobjects.execution())
    there = f"{path_of('WorkflowExecution', namespace)}/full"
    changed = cluster.api.merge(there, {"metadata": {"labels": {"team": "vision"}}})
    assert changed["metadata"]["labels"] == {"team": "vision"}
    assert changed["metadata"]["generation"] == 1
