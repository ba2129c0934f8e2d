"""What Helm reports when something is missing or in use in the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from localcluster import LocalCluster
from tests.support.chart import CHART, HelmError, helm

APART = "--set=crds.install=false"
"""The tests' cluster has the custom resources from kubectl."""


def install(cluster: LocalCluster, name: str, *values: str, user: str = "") -> str:
    """What Helm would do, as a user if one is named; HelmError with what it says against it."""
    command = ("install", name, str(CHART), f"--namespace={name}", "--create-namespace")
    impersonated = [f"--kube-as-user={user}"] if user else []
    dry = ("--dry-run=server", f"--set=homeNamespace.name={name}-runs")
    return helm(*command, *dry, *impersonated, *values, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="module")
def other(cluster: LocalCluster) -> Iterator[str]:
    """Another release, for one namespace; its name."""
    apart = (APART, "--set=fullnameOverride=first", "--set=homeNamespace.name=first-runs")
    command = ("upgrade", "--install", "first", str(CHART), "--namespace=first", "--create-namespace")
    helm(*command, *apart, "--set=scope=namespace", kubeconfig=cluster.kubeconfig)
    yield "first"
    helm("uninstall", "first", "--namespace=first", kubeconfig=cluster.kubeconfig)
    cluster.kubectl("delete", "namespace", "first", "first-runs", "--wait=false")


def test_custom_resources_that_somebody_else_installed_are_not_taken_over(cluster: LocalCluster) -> None:
    with pytest.raises(
        HelmError, match="are in the cluster already, installed by somebody without Helm"
    ) as error:
        install(cluster, "second")
    assert "Set crds.install to false to use them as they are, or hand them over to this release" in str(
        error.value
    )


def test_foreign_profiles_are_left_alone_and_foreign_environments_refused(
    cluster: LocalCluster,
) -> None:
    made = {"apiVersion": "nightcrawler.dev/v1alpha1", "metadata": {"name": "theirs"}}
    profile = made | {"kind": "ComputeProfile", "spec": {}}
    environment = made | {"kind": "Environment", "spec": {"displayName": "Theirs"}}
    for one in (profile, environment):
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(one))
    try:
        profiles = '--set-json=computeProfiles.profiles={"theirs": {}, "ours": {}}'
        rendered = install(cluster, "second", "--set=crds.install=false", profiles)
        assert "name: ours\n" in rendered
        assert "name: theirs\n" not in rendered
        named = "--set=defaultEnvironment.create=true,defaultEnvironment.name=theirs"
        with pytest.raises(
            HelmError, match="there is such an Environment already, made by somebody without Helm"
        ):
            install(cluster, "second", APART, named)
    finally:
        cluster.kubectl("delete", "computeprofile/theirs", "environment/theirs")


def test_a_name_used_by_another_release_is_refused(cluster: LocalCluster, other: str) -> None:
    with pytest.raises(
        HelmError, match="The name first is taken by the release first in namespace first"
    ) as error:
        install(cluster, "second", APART, f"--set=fullnameOverride={other}")
    assert "install this release under another name, or set fullnameOverride" in str(error.value)


def test_two_operators_are_not_installed_for_the_same_workflows(cluster: LocalCluster, other: str) -> None:
    with pytest.raises(
        HelmError, match="would run the workflows of the release first in namespace first too"
    ):
        install(cluster, "second", APART, "--set=scope=cluster")
    assert "second-nightcrawler-operator" in install(cluster, "second", APART, "--set=scope=namespace")

    apart = (APART, "--set=fullnameOverride=first", "--set=homeNamespace.name=first-runs")
    helm(
        "upgrade",
        other,
        str(CHART),
        "--namespace=first",
        *apart,
        "--set=scope=cluster",
        kubeconfig=cluster.kubeconfig,
    )
    for scope in ("cluster", "namespace"):
        with pytest.raises(HelmError, match="runs the workflows of the whole cluster already, and two would"):
            install(cluster, "second", APART, f"--set=scope={scope}")


def test_an_install_without_rights_names_the_missing_one_and_what_to_do(cluster: LocalCluster) -> None:
    with pytest.raises(HelmError, match='User "jane" cannot get resource "namespaces"') as error:
        install(cluster, "second", APART, user="jane")
    assert "Installing takes the rights of a cluster administrator; docs/troubleshooting.md says" in str(
        error.value
    )


def test_a_namespace_admin_can_install_there_as_the_guide_says(cluster: LocalCluster, namespace: str) -> None:
    parts = (
        "crds.install",
        "rbac.create",
        "homeNamespace.create",
        "computeProfiles.create",
        "priorityClasses.create",
    )
    guide = (CHART.parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert all(f"`{part}`" in guide.rpartition("then installs with")[2] for part in parts)
    cluster.kubectl(
        "create", "rolebinding", "jane", "--clusterrole=admin", "--user=jane", f"--namespace={namespace}"
    )
    command = ("install", "mine", str(CHART), f"--namespace={namespace}", "--kube-as-user=jane")
    helm(*command, *(f"--set={part}=false" for part in parts), kubeconfig=cluster.kubeconfig)
    made = cluster.kubectl("get", "deployments", f"--namespace={namespace}", "--output=name").split()
    assert made == ["deployment.apps/mine-nightcrawler-api", "deployment.apps/mine-nightcrawler-operator"]
