"""The chart's rights are those that the tests' operator and facade run with: no more, no less."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.chart import HOME, Manifest, manifests, of, one

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


def test_without_an_archive_and_with_one_in_a_file_there_are_no_more_rights_than_needed() -> None:
    none, file = manifests({"archive": {"enabled": False}}), manifests()
    for objects in (none, file):
        assert not of(objects, "Role", "nightcrawler-api-lease")
    created = ("apps", "controllerrevisions", "", "create")
    cluster = ("", "namespaces", "kube-system", "get")
    for objects, archives in ((none, False), (file, True)):
        assert (created in granted(one(objects, "Role", "nightcrawler-api"))) is archives
        assert (cluster in granted(one(objects, "ClusterRole", "nightcrawler-api"))) is archives
