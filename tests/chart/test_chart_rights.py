"""The chart's rights are those that the tests' operator and facade run with: no more, no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.chart import HOME, NAMESPACE, Manifest, manifests, of, one

Rights = set[tuple[str, str, str, str]]
"""Group, resource, name (if for one only) and verb."""

_PROVEN: Final = Path(__file__).parents[2] / "hack" / "rbac.yaml"
_CLUSTERWIDE: Final = {
    ("nightcrawler.dev", "environments"),
    ("nightcrawler.dev", "computeprofiles"),
    ("", "nodes"),
    ("", "pods"),
}


def granted(*roles: Manifest) -> Rights:
    return {
        (group, resource, name, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def proven(kind: str, name: str) -> Rights:
    """What the tests run with."""
    documents: list[Any] = list(yaml.safe_load_all(_PROVEN.read_text(encoding="utf-8")))
    return granted(one(documents, kind, name))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("ClusterRole", "nightcrawler-operator"),
        ("Role", "nightcrawler-operator-lease"),
        ("Role", "nightcrawler-api"),
        ("Role", "nightcrawler-api-status"),
        ("Role", "nightcrawler-api-lease"),
        ("ClusterRole", "nightcrawler-api"),
    ],
)
def test_the_rights_are_those_that_the_tests_run_with(kind: str, name: str) -> None:
    several = {"archive": {"urlSecret": {"name": "archive"}}, "keptLogs": {"enabled": False}}
    ours, theirs = granted(one(manifests(several), kind, name)), proven(kind, name)
    assert ours == theirs, "change hack/rbac.yaml and the chart's templates together"


def test_a_policy_holds_the_facade_to_dry_runs_as_the_one_that_the_tests_run_with() -> None:
    name, kind = "nightcrawler-api-dry-run", "ValidatingAdmissionPolicy"
    objects = manifests()
    documents: list[Any] = list(yaml.safe_load_all(_PROVEN.read_text(encoding="utf-8")))
    ours, theirs = (one(some, kind, name)["spec"] for some in (objects, documents))
    (condition,), _ = ours.pop("matchConditions"), theirs.pop("matchConditions")
    assert condition["expression"] == (
        f"request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:nightcrawler-api'"
    )
    assert ours == theirs
    held = {
        (rule["apiGroups"][0], resource, "", "create")
        for rule in ours["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }
    created = {right for right in proven("Role", "nightcrawler-api") if right[3] == "create"}
    assert created - held == {
        ("nightcrawler.dev", "workflows", "", "create"),
        ("nightcrawler.dev", "workflowexecutions", "", "create"),
        ("apps", "controllerrevisions", "", "create"),
    }
    assert one(objects, f"{kind}Binding", name)["spec"] == one(documents, f"{kind}Binding", name)["spec"]


@pytest.mark.parametrize(
    ("kind", "name"), [("ClusterRole", "nightcrawler-operator"), ("Role", "nightcrawler-api")]
)
def test_secrets_can_be_read_only_where_their_values_are_masked(kind: str, name: str) -> None:
    usual = granted(one(manifests(), kind, name))
    masking = granted(one(manifests({"settings": {"maskSecrets": True}}), kind, name))
    assert not [right for right in usual if right[1] == "secrets" and not right[2]]
    assert masking - usual == proven(kind, f"{name}-secrets") == {("", "secrets", "", "get")}


def test_in_namespaced_scope_only_what_has_no_namespace_is_cluster_wide() -> None:
    objects = manifests({"scope": "namespace"})
    everywhere = granted(one(objects, "ClusterRole", "nightcrawler-operator"))
    written = {right for right in everywhere if right[3] not in ("list", "watch")}
    assert written == {("nightcrawler.dev", "environments/status", "", "patch")}
    assert {(group, resource) for group, resource, _, _ in everywhere - written} == _CLUSTERWIDE
    role = one(objects, "Role", "nightcrawler-operator")
    assert role["metadata"]["namespace"] == HOME
    assert granted(role) | everywhere == proven("ClusterRole", "nightcrawler-operator")


def test_the_roles_for_people_aggregate_into_those_of_kubernetes() -> None:
    objects = manifests()
    for level, verbs in {"view": {"get", "list", "watch"}, "edit": {"create"}, "admin": {"create"}}.items():
        role = one(objects, "ClusterRole", f"nightcrawler-{level}")
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{level}"] == "true"
        assert verbs <= {verb for *_, verb in granted(role)}
        assert not [resource for _, resource, _, _ in granted(role) if resource.endswith("/status")]


def test_without_rbac_no_right_is_given() -> None:
    objects = manifests({"rbac": {"create": False}})
    assert not [o for o in objects if o["apiVersion"].startswith("rbac.")]
    assert len(of(objects, "ServiceAccount")) == 2


def test_without_usage_nothing_of_what_is_used_can_be_read() -> None:
    objects = manifests({"settings": {"usage": False}})
    for kind, name in (("ClusterRole", "nightcrawler-operator"), ("Role", "nightcrawler-api")):
        assert ("metrics.k8s.io", "pods", "", "list") in granted(one(manifests(), kind, name))
        assert not [right for right in granted(one(objects, kind, name)) if right[0] == "metrics.k8s.io"]
    assert ("", "nodes", "", "get") not in granted(one(objects, "ClusterRole", "nightcrawler-api"))


def test_without_an_archive_and_with_one_in_a_file_there_are_no_more_rights_than_needed() -> None:
    none, file = manifests({"archive": {"enabled": False}}), manifests()
    for objects in (none, file):
        assert not of(objects, "Role", "nightcrawler-api-lease")
    created = ("apps", "controllerrevisions", "", "create")
    cluster = ("", "namespaces", "kube-system", "get")
    for objects, archives in ((none, False), (file, True)):
        assert (created in granted(one(objects, "Role", "nightcrawler-api"))) is archives
        assert (cluster in granted(one(objects, "ClusterRole", "nightcrawler-api"))) is archives
