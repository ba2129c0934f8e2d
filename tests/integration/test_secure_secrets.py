"""`secureSecrets` with the real API server: what is refused, and that no value of a Secret is recorded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from localcluster.credentials import OPERATOR
from nightcrawler_crds import names
from nightcrawler_crds.v1alpha1 import conditions
from tests.support.builders import WorkflowBuilder, a_workflow
from tests.support.facade import Served
from tests.support.operator import Operators
from tests.support.team import Team

PASSWORD: Final = "hunter2000"
_SECURE: Final = {"secureSecrets": True}
_FROM_SECRET: Final = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}


def a_leak(name: str, *, secure: bool = True) -> WorkflowBuilder:
    """A step whose program tells its password, first in an attempt that is repeated."""
    leak: dict[str, Any] = {
        "exit_code": 1,
        "says": f"no access with {PASSWORD}",
        "retries": 1,
        "retry_delay": "0s",
    }
    return a_workflow(name, config={"security": {"secureSecrets": secure}}).step(
        "load", env=[_FROM_SECRET], **leak
    )


def run_to_its_end(team: Team, workflow: WorkflowBuilder) -> str:
    """All that is recorded of a failed run, and the Events about it."""
    (run,) = team.runs(workflow)
    team.until_phase(run, "Failed")
    events = team.every(names.EVENTS, field_selector=f"involvedObject.name={run}")
    return json.dumps([team.status(run), events])


@pytest.fixture
def secret(team: Team) -> None:
    path = f"/api/v1/namespaces/{team.namespace}/secrets"
    team.cluster.api.post(path, {"metadata": {"name": "db"}, "stringData": {"password": PASSWORD}})


@contextlib.contextmanager
def may_read_secrets(cluster: LocalCluster, namespace: str) -> Iterator[None]:
    """The operator's further right, as its role in `hack/rbac.yaml` is to be bound."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    role = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "nightcrawler-operator-secrets",
    }
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}
    cluster.api.post(path, {"metadata": {"name": "masks"}, "roleRef": role, "subjects": [subject]})
    yield
    cluster.api.delete(f"{path}/masks")


@pytest.mark.usefixtures("nodes", "secret")
def test_values_of_secrets_are_recorded_only_where_nobody_asks_for_more(
    operators: Operators, team: Team
) -> None:
    operator = operators.start(mask_secrets=True)
    withheld = run_to_its_end(team, a_leak("withheld"))
    assert PASSWORD not in withheld, "the operator may not read Secrets yet"
    assert "has a message that is withheld" in withheld
    with may_read_secrets(team.cluster, team.namespace):
        masked = run_to_its_end(team, a_leak("masked"))
        assert PASSWORD not in masked
        assert "no access with ***" in masked
        assert PASSWORD not in operator.log
        assert PASSWORD in run_to_its_end(team, a_leak("open", secure=False))


def test_what_looks_like_a_secret_is_refused_over_rest_at_once(served: Served) -> None:
    step: dict[str, Any] = {"name": "load", "image": "busybox:1", "env": [{"name": "TOKEN", "value": "x"}]}
    body = {"name": "W", "steps": [step], "config": {"security": _SECURE}}
    problem = served.refused("POST", "", body, code=422)
    assert problem["errors"][0]["pointer"] == "/steps/0/env/0/value"
    assert "secretKeyRef" in problem["errors"][0]["detail"]

    step["env"] = []
    workflow = served.create(**body)
    problem = served.refused("POST", f"/{workflow}/execute", {"parameters": {"apiToken": "x"}}, code=422)
    assert problem["errors"][0]["pointer"] == "/parameters/apiToken"
    problem = served.refused(
        "PUT", f"/{workflow}", {"parameters": [{"name": "password", "default": "x"}]}, code=422
    )
    assert problem["errors"][0]["pointer"] == "/parameters/0/default"


def test_what_nothing_enforces_is_taken_with_a_warning(served: Served) -> None:
    step = {"name": "a", "image": "busybox:1"}
    created = served.ask("POST", body={"name": "W", "steps": [step]}, code=201)
    assert "warnings" not in created
    security = {"visibility": "Private", "permissions": [{"role": "Viewer", "access": "View Only"}]}
    changed = served.ask("PUT", f"/{created['id']}", {"config": {"security": security}})
    assert [said.split(",")[0] for said in changed["warnings"]] == [
        "config.security.visibility is Private",
        "config.security.permissions is set",
    ]


@pytest.mark.usefixtures("nodes")
def test_a_manifest_with_a_secret_in_it_is_not_accepted(shared: Team) -> None:
    token = {"name": "TOKEN", "value": "x"}
    workflow = a_workflow("literal", config={"security": _SECURE}).step("load", env=[token])
    (run,) = shared.runs(workflow)
    assert shared.until_phase(run, "Failed")["message"].startswith(
        "step 'load': the variable 'TOKEN' looks like"
    )
    accepted = shared.until_condition(names.WORKFLOWS, "literal", conditions.ACCEPTED, "False")
    assert accepted["reason"] == conditions.LITERAL_SECRET


_OURS: Final = "nightcrawler-notifications"


@pytest.mark.usefixtures("nodes")
@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("env", {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": _OURS, "key": "k"}}}]}),
        ("env-from", {"env_from": [{"secretRef": {"name": _OURS}}]}),
        ("secret", {"pod": {"spec": {"volumes": [{"name": "v", "secret": {"secretName": _OURS}}]}}}),
        (
            "claim",
            {"pod": {"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": _OURS}}]}}},
        ),
    ],
)
def test_nothing_of_the_installation_can_be_reached_from_a_step(
    shared: Team, way: str, step: dict[str, Any]
) -> None:
    (run,) = shared.runs(a_workflow(f"reach-{way}").step("a", **step))
    message = shared.until_phase(run, "Failed")["message"]
    assert "names that begin with 'nightcrawler-' are Nightcrawler's own; take another one" in message
    assert shared.pods(run) == []
