"""Teams: their namespaces, roles, quotas and limits; names that do not work are refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from nightcrawler_crds.settings import CommonSettings
from tests.support.chart import HOME, Manifest, Values, manifests, of, refusal, variables

VISION: Values = {
    "name": "vision",
    "namespaces": ["vision", "vision-nightly"],
    "groups": [
        {"name": "engineers"},
        {"name": "leads", "role": "admin"},
        {"name": "oidc:all", "role": "view"},
    ],
    "quota": {"gpus": 8, "cpu": 64, "memory": "256Gi", "runs": 50},
    "maxPriority": "high",
    "maxTimeout": "2 days",
}


def made(*teams: Values, **values: Any) -> list[Manifest]:
    """What the chart makes for teams, without all else."""
    objects = manifests({"teams": list(teams), **values})
    return [o for o in objects if "nightcrawler.dev/team" in o["metadata"].get("labels", {})]


def places(objects: list[Manifest]) -> list[str]:
    return [o["metadata"]["namespace"] for o in objects]


def test_without_teams_nothing_is_rendered_for_them() -> None:
    assert made() == []


def test_each_namespace_of_a_team_is_created_and_stays_when_the_release_is_uninstalled() -> None:
    spaces = of(made(VISION), "Namespace")
    assert [o["metadata"]["name"] for o in spaces] == ["vision", "vision-nightly"]
    for space in spaces:
        assert space["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert space["metadata"]["labels"]["nightcrawler.dev/team"] == "vision"


def test_existing_namespaces_are_used() -> None:
    objects = made({**VISION, "create": False})
    assert of(objects, "Namespace") == []
    assert places(of(objects, "ResourceQuota")) == ["vision", "vision-nightly"]


def test_the_home_namespace_may_belong_to_a_team_and_is_made_once() -> None:
    team = {"name": "all", "namespaces": [HOME], "groups": [{"name": "people"}], "quota": {"runs": 5}}
    objects = manifests({"teams": [team]})
    assert [o["metadata"]["name"] for o in of(objects, "Namespace")] == [HOME]
    assert places(of(objects, "ResourceQuota")) == [HOME]
    assert [o["metadata"]["name"] for o in of(made(team), "RoleBinding")] == ["nightcrawler-all-edit"]


def test_groups_are_bound_to_the_roles_of_kubernetes_in_each_namespace() -> None:
    bindings = of(made(VISION), "RoleBinding")
    bound = {
        (b["metadata"]["namespace"], b["roleRef"]["name"], subject["name"])
        for b in bindings
        for subject in b["subjects"]
    }
    roles = {("edit", "engineers"), ("admin", "leads"), ("view", "oidc:all")}
    assert bound == {(space, *role) for space in VISION["namespaces"] for role in roles}
    assert {b["roleRef"]["kind"] for b in bindings} == {"ClusterRole"}


def test_groups_of_one_role_share_a_binding() -> None:
    team = {"name": "a", "namespaces": ["a"], "groups": [{"name": "one"}, {"name": "two", "role": "edit"}]}
    [binding] = of(made(team), "RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == ["one", "two"]


def test_a_quota_counts_requests_and_pods_that_have_not_ended() -> None:
    quotas = of(made(VISION), "ResourceQuota")
    assert places(quotas) == ["vision", "vision-nightly"]
    assert quotas[0]["spec"]["hard"] == {
        "requests.nvidia.com/gpu": "8",
        "requests.cpu": "64",
        "requests.memory": "256Gi",
        "pods": "50",
    }


@pytest.mark.parametrize(
    ("quota", "hard"),
    [
        ({"gpus": 0}, {"requests.nvidia.com/gpu": "0"}),
        ({"runs": 2_000_000}, {"pods": "2000000"}),
        ({"cpu": 0.5}, {"requests.cpu": "0.5"}),
        ({"cpu": "500m"}, {"requests.cpu": "500m"}),
        ({"memory": 64_000_000_000}, {"requests.memory": "64000000000"}),
    ],
    ids=str,
)
def test_amounts_arrive_as_they_are_written(quota: Values, hard: Values) -> None:
    [found] = of(made({"name": "a", "namespaces": ["a"], "quota": quota}), "ResourceQuota")
    assert found["spec"]["hard"] == hard


@pytest.mark.parametrize(
    ("team", "requests"),
    [
        ({"quota": {"cpu": 4}}, {"cpu": "500m", "memory": "1Gi"}),
        ({"quota": {"memory": "4Gi"}, "defaults": {"cpu": 1}}, {"cpu": "1", "memory": "1Gi"}),
        ({"quota": {"memory": "4Gi"}, "defaults": {"memory": "64Mi"}}, {"cpu": "500m", "memory": "64Mi"}),
    ],
    ids=str,
)
def test_containers_that_request_nothing_get_requests_under_a_quota(team: Values, requests: Values) -> None:
    [limits] = of(made({"name": "a", "namespaces": ["a"], **team}), "LimitRange")
    assert limits["spec"]["limits"] == [{"type": "Container", "defaultRequest": requests}]


@pytest.mark.parametrize("quota", [None, {"gpus": 1}, {"runs": 1}], ids=str)
def test_without_a_quota_on_cpu_or_memory_requests_stay_as_they_are(quota: Values | None) -> None:
    team = {"name": "a", "namespaces": ["a"], **({"quota": quota} if quota else {})}
    assert of(made(team), "LimitRange") == []


def test_a_policy_applies_to_the_teams_namespaces_only() -> None:
    objects = made(VISION, {"name": "free", "namespaces": ["free"]})
    [policy] = of(objects, "ValidatingAdmissionPolicy")
    [binding] = of(objects, "ValidatingAdmissionPolicyBinding")
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["policyName"] == policy["metadata"]["name"] == "nightcrawler-vision"
    [chosen] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (chosen["key"], chosen["values"]) == ("kubernetes.io/metadata.name", VISION["namespaces"])


def team(**values: Any) -> Values:
    return {"teams": [{"name": "a", "namespaces": ["a"], **values}]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (team(namespaces=["nightcrawler"]), 'teams[0].namespaces is "nightcrawler", the release\'s own'),
        (team(namespaces=["kube-system"]), "names that begin with kube- are Kubernetes' own"),
        (team(namespaces=["A_B"]), 'teams[0].namespaces is "A_B": it must be lower-case letters'),
        (team(name="A B"), 'teams[0].name is "A B": it must be lower-case letters'),
        (team(namespaces=["a", "a"]), 'teams[0].namespaces has "a", which team a has already'),
        (
            {"teams": [{"name": "a", "namespaces": ["x"]}, {"name": "b", "namespaces": ["x"]}]},
            'teams[1].namespaces has "x", which team a has already: a namespace belongs to one team, once.',
        ),
        (
            {"teams": [{"name": "a", "namespaces": ["x"]}, {"name": "a", "namespaces": ["y"]}]},
            'teams[1].name is "a", and so is that of teams[0]: name them differently.',
        ),
        (
            {**team(), "scope": "namespace"},
            "with scope namespace the operator runs those of nightcrawler-workflows alone",
        ),
        (
            {**team(groups=[{"name": "g"}]), "rbac": {"aggregate": False}},
            "teams[0].groups needs rbac.create and rbac.aggregate",
        ),
        (
            {**team(groups=[{"name": "g"}]), "rbac": {"create": False}},
            "Set both to true, or leave the groups",
        ),
        (team(maxTimeout="soon"), 'teams[0].maxTimeout is "soon", which cannot be used. Accepted: "2 hours"'),
        (team(namespaces=[]), "at '/teams/0/namespaces': minItems: got 0, want 1"),
        (team(groups=[{"name": "g", "role": "owner"}]), "value must be one of 'view', 'edit', 'admin'"),
        (team(groups=["g"]), "at '/teams/0/groups/0': got string, want object"),
        (team(quota={"gpu": 1}), "additional properties 'gpu' not allowed"),
        (team(quota={"memory": "64 GB"}), "at '/teams/0/quota/memory'"),
        (team(quota={"runs": 1.5}), "at '/teams/0/quota/runs'"),
        (team(maxPriority="top"), "value must be one of 'low', 'medium', 'high', 'critical'"),
        ({"teams": [{"namespaces": ["a"]}]}, "at '/teams/0': missing property 'name'"),
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_bad_team_is_refused_with_a_sentence(values: Values, sentence: str) -> None:
    assert sentence in refusal(values)


def test_a_teams_limit_on_running_executions_holds_in_each_of_its_namespaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = {"name": "web", "namespaces": ["web"]}
    limits = {"maxRunning": 1000, "maxRunningPerNamespace": 100}
    objects = manifests({"teams": [VISION | {"maxRunning": 20}, other], "settings": limits})
    for program in ("nightcrawler-operator", "nightcrawler-api"):
        with monkeypatch.context() as environment:
            for name, value in variables(objects, program).items():
                if name.startswith("NIGHTCRAWLER_MAX_RUNNING"):
                    environment.setenv(name, value)
            read = CommonSettings()
        assert read.max_running_in == {"vision": 20, "vision-nightly": 20}
        assert (read.max_running, read.max_running_per_namespace) == (1000, 100)
    plain = variables(manifests({"teams": [other]}), "nightcrawler-operator")
    assert not [name for name in plain if name.startswith("NIGHTCRAWLER_MAX_RUNNING")]
