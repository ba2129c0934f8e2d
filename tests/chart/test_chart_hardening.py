"""What security people look for in the chart's manifests, for every set of values in `ci/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import CASES, HOME, NAMESPACE, Manifest, manifests, of, one, pod_specs

every_case = pytest.mark.parametrize(
    "case", [None, *CASES], ids=lambda case: case.stem if case else "default"
)


def containers(objects: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Every container with the name and the spec of its Pod."""
    for name, pod in pod_specs(objects).items():
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield name, pod, container


def rules(objects: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for role in (*of(objects, "Role"), *of(objects, "ClusterRole")):
        for rule in role["rules"]:
            yield role["metadata"]["name"], rule


@every_case
def test_pods_pass_the_restricted_profile_and_more(case: Path | None) -> None:
    objects = manifests(case=case)
    assert pod_specs(objects)
    for name, pod, container in containers(objects):
        of_pod, of_container = pod["securityContext"], container["securityContext"]
        assert of_pod["runAsNonRoot"] is True, name
        assert of_pod["runAsUser"] >= 10_000, name
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert of_container["allowPrivilegeEscalation"] is False, name
        assert of_container["readOnlyRootFilesystem"] is True, name
        assert of_container["capabilities"] == {"drop": ["ALL"]}, name
        assert not of_container.get("privileged"), name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        volumes = {volume["name"]: volume.keys() - {"name"} for volume in pod.get("volumes", ())}
        kinds = {"secret", "configMap", "persistentVolumeClaim"}
        assert all(kinds & kind for kind in volumes.values()), name
        for mount in container.get("volumeMounts", ()):
            assert mount.get("readOnly") or "persistentVolumeClaim" in volumes[mount["name"]], name


@every_case
def test_containers_have_requests_limits_and_an_image_that_says_which(case: Path | None) -> None:
    for name, _, container in containers(manifests(case=case)):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][kind].keys(), (name, kind)
        image = container["image"]
        assert "@sha256:" in image or image.rpartition(":")[2].count(".") == 2, (name, image)


@every_case
def test_deployments_have_all_probes_and_survive_a_node(case: Path | None) -> None:
    objects = manifests(case=case)
    for deployment in of(objects, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
        assert {c["topologyKey"] for c in pod["topologySpreadConstraints"]} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }
    budgets = of(objects, "PodDisruptionBudget")
    assert len(budgets) in (0, len(of(objects, "Deployment")))
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets)


@every_case
def test_no_token_is_mounted_where_none_is_needed(case: Path | None) -> None:
    objects = manifests(case=case)
    for account in of(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for name, pod in pod_specs(objects).items():
        assert pod["automountServiceAccountToken"] is name.startswith("Deployment/"), name


@every_case
def test_no_service_of_the_namespace_becomes_a_variable(case: Path | None) -> None:
    for name, pod in pod_specs(manifests(case=case)).items():
        assert pod["enableServiceLinks"] is name.startswith("Pod/"), name


@every_case
def test_rights_have_no_wildcard_and_no_escalation(case: Path | None) -> None:
    for name, rule in rules(manifests(case=case)):
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, name
        assert not {"serviceaccounts/token", "pods/exec", "pods/attach"} & {*rule["resources"]}, name
        if "secrets" in rule["resources"]:
            assert rule["resourceNames"] == ["nightcrawler-notifications"], name
            assert {*rule["verbs"]} == {"list", "watch"}, name
        assert not {"escalate", "bind", "impersonate"} & {*rule["verbs"]}, name
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"], name


@every_case
def test_every_binding_binds_an_account_of_the_release_to_a_role_that_exists(case: Path | None) -> None:
    objects = manifests(case=case)
    accounts = {account["metadata"]["name"] for account in of(objects, "ServiceAccount")}
    for binding in (*of(objects, "RoleBinding"), *of(objects, "ClusterRoleBinding")):
        if is_of_a_team(binding):
            continue
        place = binding["metadata"].get("namespace")
        roles = of(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        assert [role for role in roles if role["metadata"].get("namespace", place) == place]
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["namespace"]) == ("ServiceAccount", NAMESPACE)
            assert subject["name"] in accounts


@every_case
def test_bindings_of_teams_bind_groups_in_namespaces_of_their_own(case: Path | None) -> None:
    for binding in filter(is_of_a_team, manifests(case=case)):
        if "roleRef" in binding:
            assert binding["kind"] == "RoleBinding"
            assert binding["metadata"]["namespace"] != NAMESPACE
            assert binding["roleRef"]["name"] in ("view", "edit", "admin")
            assert {subject["kind"] for subject in binding["subjects"]} == {"Group"}


def is_of_a_team(made: Manifest) -> bool:
    return "nightcrawler.dev/team" in made["metadata"]["labels"]


@every_case
def test_nothing_is_exposed_beyond_the_cluster_but_by_an_ingress(case: Path | None) -> None:
    assert {service["spec"].get("type", "ClusterIP") for service in of(manifests(case=case), "Service")} == {
        "ClusterIP"
    }


@every_case
def test_nothing_is_in_the_namespaces_of_workflows_but_rights_and_limits(case: Path | None) -> None:
    objects = manifests(case=case)
    there = {o["kind"] for o in objects if o["metadata"].get("namespace") not in (None, NAMESPACE)}
    assert there <= {"Role", "RoleBinding", "ResourceQuota", "LimitRange"}


@pytest.mark.parametrize("kind", ["Namespace", "CustomResourceDefinition"])
def test_what_holds_peoples_work_stays_when_the_release_is_uninstalled(kind: str) -> None:
    kept = of(manifests(), kind)
    assert kept
    for made in kept:
        assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_network_policies_let_in_the_release_and_out_to_the_api_server() -> None:
    facade = one(manifests(), "NetworkPolicy", "nightcrawler-api")["spec"]
    assert facade["policyTypes"] == ["Ingress", "Egress"]
    assert facade["ingress"] == [
        {"ports": [{"protocol": "TCP", "port": 8080}], "from": [{"podSelector": {}}]}
    ]
    (api_server, dns) = facade["egress"]
    assert [port["port"] for port in api_server["ports"]] == [443, 6443]
    assert {port["port"] for port in dns["ports"]} == {53}


def test_users_of_the_facade_may_not_read_the_operators_metrics() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    objects = manifests({"networkPolicy": {"facadeFrom": [peer]}})

    def let_in(part: str) -> Any:
        (rule,) = one(objects, "NetworkPolicy", f"nightcrawler-{part}")["spec"]["ingress"]
        return rule["from"]

    assert let_in("api") == [{"podSelector": {}}, peer]
    assert let_in("operator") == [{"podSelector": {}}]


def test_the_facade_has_rights_only_in_the_namespace_that_it_serves() -> None:
    objects = manifests()
    assert one(objects, "Role", "nightcrawler-api")["metadata"]["namespace"] == HOME
    everywhere, to_fit, nodes, cluster = one(objects, "ClusterRole", "nightcrawler-api")["rules"]
    assert (cluster["resourceNames"], cluster["verbs"]) == (["kube-system"], ["get"])
    # Nodes belong to no namespace: whether a step fits one, and what it uses may be a share of one.
    assert to_fit == {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    assert nodes == {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
    assert everywhere == {
        "apiGroups": ["nightcrawler.dev"],
        "resources": ["environments", "computeprofiles"],
        "verbs": ["list", "watch"],
    }
