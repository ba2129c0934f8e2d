"""The API server does not take what a run needs: why is shown, and it goes on, or fails, as it should."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from localcluster.api import RefusedError
from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow
from tests.support.history import History
from tests.support.operator import OperatorProcess, Operators
from tests.support.polling import eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")

ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
WEBHOOK: Final = "policy.example.com"
ONLY_ONE: Final = {"status_window": 1, "leader_election": False}


@pytest.fixture
def registered(team: Team) -> Iterator[Callable[[str, Json], str]]:
    """Registers admission configurations for the team's namespace, for as long as the test runs."""
    made: list[str] = []

    def register(kind: str, body: Json) -> str:
        name = f"{team.namespace}-{len(made)}"
        team.cluster.api.post(f"{ADMISSION}/{kind}", {"metadata": {"name": name}, **body})
        made.append(f"{ADMISSION}/{kind}/{name}")
        return made[-1]

    yield register
    for path in made:
        if team.cluster.api.exists(path):
            team.cluster.api.delete(path)


def in_the_namespace(team: Team) -> Json:
    return {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}}


def a_dead_webhook(team: Team, resource: names.Resource, operation: str = "CREATE") -> Json:
    """A webhook for a kind of object, at an address where nothing listens."""
    rule = {
        "apiGroups": [resource.group],
        "apiVersions": ["*"],
        "resources": [resource.plural],
        "operations": [operation],
    }
    return {
        "webhooks": [
            {
                "name": WEBHOOK,
                "rules": [rule],
                "clientConfig": {"url": "https://127.0.0.1:1/ask"},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "namespaceSelector": in_the_namespace(team),
                "timeoutSeconds": 2,
            }
        ]
    }


def until_message(team: Team, run: str, text: str) -> Json:
    found: Json = eventually(
        lambda: team.status(run), until=lambda s: text in (s.get("message") or ""), what=f"the words {text!r}"
    )
    return found


ASKED_ABOUT: Final = {"Jobs": names.JOBS, "Pods": names.PODS}


@pytest.mark.parametrize("resource", ASKED_ABOUT.values(), ids=ASKED_ABOUT)
def test_a_step_whose_webhook_does_not_answer_says_so_once_and_runs_when_it_is_gone(
    resource: names.Resource, operators: Operators, team: Team, registered: Callable[[str, Json], str]
) -> None:
    operator = operators.start(**ONLY_ONE)
    webhook = registered("validatingwebhookconfigurations", a_dead_webhook(team, resource))
    history = History(team)
    (run,) = team.runs(a_workflow("w").step("one"))

    waits = team.until_step(run, "one", reason="APIServerUnavailable")
    assert f"the admission webhook '{WEBHOOK}' could not be asked" in waits["message"]
    assert team.status(run)["message"] == waits["message"]
    assert ("jobName" in waits) is (resource == names.PODS), "what is recorded is there"
    # Several more tries fail; there is no write for any of them.
    tries = f"{resource.kind} .* was refused"
    eventually(lambda: len(re.findall(tries, operator.log)) >= 8, what="further tries", within=60)
    statuses = [c.object.get("status", {}) for c in history.of(names.EXECUTIONS) if c.name == run]
    reasons = [status.get("steps", {}).get("one", {}).get("reason") for status in statuses]
    assert reasons.count("APIServerUnavailable") == 1, statuses

    team.cluster.api.delete(webhook)
    status = team.until_phase(run, "Completed", within=60)
    assert "reason" not in status["steps"]["one"]
    assert "message" not in status["steps"]["one"]
    assert status["steps"]["one"]["attempt"] == 1
    assert len(team.jobs(run)) == 1


BEFORE_JOBS: Final = {
    "the revision": (names.REVISIONS, "CREATE"),
    "the adoption": (names.EXECUTIONS, "UPDATE"),
}


@pytest.mark.parametrize(("resource", "operation"), BEFORE_JOBS.values(), ids=BEFORE_JOBS)
def test_a_run_that_cannot_begin_says_which_webhook_keeps_it(
    resource: names.Resource,
    operation: str,
    operators: Operators,
    team: Team,
    registered: Callable[[str, Json], str],
) -> None:
    operators.start(**ONLY_ONE)
    webhook = registered("validatingwebhookconfigurations", a_dead_webhook(team, resource, operation))
    (run,) = team.runs(a_workflow("w").step("one"))

    status = until_message(team, run, f"the admission webhook '{WEBHOOK}' could not be asked")
    assert status["phase"] == "Pending"
    accepted = team.condition(names.EXECUTIONS, run, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("Unknown", "APIServerUnavailable")
    assert team.jobs(run) == []

    team.cluster.api.delete(webhook)
    status = team.until_phase(run, "Completed", within=60)
    assert team.condition(names.EXECUTIONS, run, "Accepted")["status"] == "True"


def test_a_refused_further_attempt_says_so_too(
    operators: Operators, team: Team, registered: Callable[[str, Json], str]
) -> None:
    operators.start(**ONLY_ONE)
    (run,) = team.runs(a_workflow("w").step("one", exit_code=1, retries=1, retry_delay="3s"))
    team.until_step(run, "one", phase="Retrying")
    webhook = registered("validatingwebhookconfigurations", a_dead_webhook(team, names.JOBS))

    waits = team.until_step(run, "one", attempt=2, reason="APIServerUnavailable")
    assert "jobName" not in waits

    team.cluster.api.delete(webhook)
    status = team.until_phase(run, "Failed", within=60)
    assert (status["steps"]["one"]["attempt"], status["steps"]["one"]["reason"]) == (2, "Error")


def test_an_api_server_that_answers_no_posts_is_named(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig, **ONLY_ONE)
    proxy.on("POST", "/jobs$", status=503, times=10_000)
    (run,) = team.runs(a_workflow("w").step("one"))

    waits = team.until_step(run, "one", reason="APIServerUnavailable")
    assert "waits, its Job is refused: the proxy answers 503" in waits["message"]

    proxy.reset()
    team.until_phase(run, "Completed", within=60)


def a_policy(team: Team, resource: names.Resource, reason: str) -> tuple[Json, Json]:
    rule = {
        "apiGroups": [resource.group],
        "apiVersions": ["*"],
        "resources": [resource.plural],
        "operations": ["CREATE"],
    }
    validation = {"expression": "false", "message": "not on Fridays", "reason": reason}
    policy = {"spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}}
    binding = {
        "spec": {
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": in_the_namespace(team)},
        }
    }
    return policy, binding


@pytest.mark.parametrize(
    ("resource", "reason", "step_reason"),
    [
        (names.JOBS, "Forbidden", "PodForbidden"),
        (names.PODS, "Forbidden", "PodForbidden"),
        (names.JOBS, "Invalid", "JobRefused"),
    ],
)
def test_a_denial_by_a_policy_fails_the_step_with_its_message(
    resource: names.Resource,
    reason: str,
    step_reason: str,
    operators: Operators,
    team: Team,
    registered: Callable[[str, Json], str],
) -> None:
    operators.start(**ONLY_ONE)
    policy, binding = a_policy(team, resource, reason)
    made = registered("validatingadmissionpolicies", policy)
    bound = {**binding, "spec": {**binding["spec"], "policyName": made.rpartition("/")[2]}}
    registered("validatingadmissionpolicybindings", bound)
    until_in_force(team, resource)

    (run,) = team.runs(a_workflow("w").step("one", retries=3))

    status = team.until_phase(run, "Failed", within=30)
    assert status["steps"]["one"]["reason"] == step_reason
    assert "not on Fridays" in status["message"]


def until_in_force(team: Team, resource: names.Resource) -> None:
    """Policies take a moment; a request that is not carried out is judged nevertheless."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    spec = {"template": {"spec": pod}} if resource == names.JOBS else pod
    body = {"metadata": {"name": "probe"}, "spec": spec}

    def refused() -> bool:
        try:
            team.cluster.api.post(f"{team.path(resource)}?dryRun=All", body)
        except RefusedError as refusal:
            return "not on Fridays" in str(refusal)
        return False

    eventually(refused, what="the policy to be in force")


@contextlib.contextmanager
def without_right(team: Team, resource: str, verb: str) -> Iterator[None]:
    """The operator's role lacks a right for a while."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/nightcrawler-operator"
    rules = team.cluster.api.get(path)["rules"]
    fewer = copy.deepcopy(rules)
    for rule in fewer:
        if resource in rule["resources"]:
            rule["verbs"] = [one for one in rule["verbs"] if one != verb]
    team.cluster.api.merge(path, {"rules": fewer})
    try:
        yield
    finally:
        team.cluster.api.merge(path, {"rules": rules})


@pytest.mark.parametrize("resource", ["jobs", "pods"])
def test_rights_that_the_operator_lacks_are_named_and_waited_for(
    resource: str, operators: Operators, team: Team
) -> None:
    operators.start(**ONLY_ONE)
    with without_right(team, resource, "create"):
        (run,) = team.runs(a_workflow("w").step("one"))
        waits = team.until_step(run, "one", reason="MissingRights")
        assert f'cannot create resource "{resource}"' in waits["message"]

    team.until_phase(run, "Completed", within=60)


def test_rights_that_stay_missing_fail_the_step(operators: Operators, team: Team) -> None:
    operators.start(missing_rights_grace=4, **ONLY_ONE)
    with without_right(team, "jobs", "create"):
        (run,) = team.runs(a_workflow("w").step("one", retries=3))
        status = team.until_phase(run, "Failed", within=60)

    assert status["steps"]["one"]["reason"] == "MissingRights"
    assert 'cannot create resource "jobs"' in status["message"]


# --- quotas on the number of objects -----------------------------------------------------------------


@pytest.mark.parametrize("counted", ["count/jobs.batch", "count/pods"])
def test_a_run_makes_room_with_its_own_finished_jobs_and_with_no_others(
    counted: str, operator: OperatorProcess, team: Team
) -> None:
    (other,) = team.runs(a_workflow("other").step("one"))
    team.until_phase(other, "Completed")
    team.set_quota({counted: "3"}, {counted: "1"})

    (run,) = team.runs(a_chain("c", 5))

    status = team.until_phase(run, "Completed", within=120)
    assert status["progress"] == "5/5"
    assert [step["attempt"] for step in status["steps"].values()] == [1] * 5
    assert len(team.jobs(other)) == 1
    assert {job["metadata"]["annotations"][names.ANNOTATION_STEP] for job in team.jobs(run)} <= {"s4", "s5"}
    assert operator.is_alive


def test_the_limit_that_a_quota_demands_can_be_given(operator: OperatorProcess, team: Team) -> None:
    team.set_quota({"limits.cpu": "2"}, {"limits.cpu": "0"})

    (bare,) = team.runs(a_workflow("bare").step("one", resources={"cpu": "500m"}))
    (limited,) = team.runs(a_workflow("limited").step("one", resources={"cpu": "500m", "cpuLimit": 1}))

    status = team.until_phase(bare, "Failed")
    assert status["steps"]["one"]["reason"] == "PodForbidden"
    assert (
        "must specify limits.cpu for: step; the quota asks for it: set resources.cpuLimit"
        in status["message"]
    )
    team.until_phase(limited, "Completed")
    (pod,) = team.pods(limited)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1"
    assert operator.is_alive
