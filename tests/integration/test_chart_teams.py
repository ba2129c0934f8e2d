"""What the chart makes for a team, on a real API server: quotas, requests, and policies with sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names, words
from tests.support.builders import a_workflow
from tests.support.chart import CHART, HelmError, Values, helm, manifests
from tests.support.cluster import a_namespace
from tests.support.polling import eventually

_CLUSTER_WIDE: Final = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
_POLICIES: Final = "/apis/admissionregistration.k8s.io/v1"
_MOST: Final = "1 day 2h"


@pytest.fixture(scope="module")
def space(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of a team, with all that the chart makes for it."""
    with a_namespace(cluster) as namespace:
        team: Values = {
            "name": namespace,
            "namespaces": [namespace],
            "create": False,
            "groups": [{"name": "engineers"}],
            "quota": {"gpus": 1, "cpu": 4, "memory": "8Gi", "runs": 3},
            "maxPriority": "medium",
            "maxTimeout": _MOST,
        }
        objects = [
            o
            for o in manifests({"teams": [team]})
            if o["metadata"]["labels"].get("nightcrawler.dev/team") == namespace
        ]
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        path = f"/api/v1/namespaces/{namespace}/resourcequotas/nightcrawler-{namespace}"
        eventually(
            lambda: cluster.api.get(path), until=lambda quota: quota["status"].get("used"), what="quota"
        )
        eventually(lambda: why_not(cluster, namespace, priority="high"), until=bool, what="the policy")
        try:
            yield namespace
        finally:
            for made in objects:
                if made["kind"] in _CLUSTER_WIDE:
                    cluster.api.delete(
                        f"{_POLICIES}/{_CLUSTER_WIDE[made['kind']]}/{made['metadata']['name']}"
                    )


def why_not(cluster: LocalCluster, namespace: str, **spec: Any) -> str:
    """What the API server says against a workflow; empty if it takes it."""
    manifest = a_workflow("another").step("train").manifest()
    manifest["spec"] |= {"config": {"timeout": "1 day"}} | spec
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/workflows?dryRun=All"
    return refusal(cluster, path, manifest)


def refusal(cluster: LocalCluster, path: str, manifest: dict[str, Any]) -> str:
    try:
        cluster.api.post(path, manifest)
    except RefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "timeout",
    [
        *("26 hours", "1 day", "1d2h", "1560 minutes", "93600", 93600, 5, 0.5, "500ms", "93600000 ms"),
        *("93600000 milliseconds", "93600 seconds", "1.5 min", "90 Secs", "0.1 weeks", "1 Day 1 Hr 60 mins"),
        *("27 hours", "2 days", "1d3h", "1561 minutes", "93601", 93601, 1e7, "93600001 ms", "93601 seconds"),
        *("1 week", "1w", "0.2 Weeks", "26 hours 1 s", "1d2h1ms", "1 Day 1 Hr 61 Mins", "1561m", "30h"),
    ],
)
def test_a_timeout_longer_than_the_teams_is_refused(
    cluster: LocalCluster, space: str, timeout: words.Word
) -> None:
    error = why_not(cluster, space, config={"timeout": timeout})
    if words.parse_timeout(timeout) <= words.parse_timeout(_MOST):
        assert error == ""
    else:
        assert f"a run of team {space} may take at most {_MOST}, and this workflow's may take " in error
        assert f": set spec.config.timeout to {_MOST} or less" in error


def test_a_workflow_that_sets_no_timeout_has_the_default(cluster: LocalCluster, space: str) -> None:
    error = why_not(cluster, space, config={})
    assert "and this workflow's may take 7 days, the default: set spec.config.timeout to" in error


@pytest.mark.parametrize("priority", ["low", "medium", None, "high", "critical"])
def test_a_priority_higher_than_the_teams_is_refused(
    cluster: LocalCluster, space: str, priority: str | None
) -> None:
    error = why_not(cluster, space, **({"priority": priority} if priority else {}))
    if priority in ("high", "critical"):
        assert (
            f"the priority of team {space} is at most medium, and this workflow's is {priority}: set" in error
        )
    else:
        assert error == ""


def test_a_step_cannot_choose_a_priority_class(cluster: LocalCluster, space: str) -> None:
    template = {"spec": {"priorityClassName": "system-cluster-critical"}}
    steps = [{"name": "train", "image": "none", "podTemplate": template}]
    assert "its steps cannot choose a priority class: leave priorityClassName" in why_not(
        cluster, space, steps=steps
    )


def test_other_namespaces_have_no_such_limits(cluster: LocalCluster, space: str, namespace: str) -> None:
    assert space != namespace
    assert why_not(cluster, namespace, priority="critical", config={"timeout": "1 week"}) == ""


def test_objects_older_than_the_limit_can_be_labelled_and_not_changed(
    cluster: LocalCluster, namespace: str
) -> None:
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/workflows"
    manifest = a_workflow("wf", priority="high").step("train").manifest()
    name = cluster.api.post(path, manifest)["metadata"]["name"]
    team = {"name": namespace, "namespaces": [namespace], "create": False, "maxPriority": "low"}
    objects = [o for o in manifests({"teams": [team]}) if o["kind"] in _CLUSTER_WIDE]
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    try:
        error = eventually(lambda: why_not(cluster, namespace), until=bool, what="the policy")
        assert "and this workflow's is medium, the default: set spec.priority to low" in error
        cluster.api.merge(f"{path}/{name}", {"metadata": {"labels": {"of": "before"}}})
        with pytest.raises(RefusedError, match=r"this workflow's is high: set spec\.priority to low"):
            cluster.api.merge(f"{path}/{name}", {"spec": {"description": "changed"}})
    finally:
        for made in objects:
            cluster.api.delete(f"{_POLICIES}/{_CLUSTER_WIDE[made['kind']]}/{made['metadata']['name']}")


def a_pod(**container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "step", "image": "none", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": spec}


def test_a_container_that_requests_nothing_fits_under_the_quota(cluster: LocalCluster, space: str) -> None:
    made = cluster.api.post(f"/api/v1/namespaces/{space}/pods?dryRun=All", a_pod())
    [container] = made["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}}


@pytest.mark.parametrize(
    "resources",
    [
        {"requests": {"cpu": "2", "memory": "4Gi"}},
        {"limits": {"cpu": "100m", "memory": "16Mi"}},
        {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}},
    ],
    ids=str,
)
def test_a_containers_own_requests_stay(cluster: LocalCluster, space: str, resources: dict[str, Any]) -> None:
    made = cluster.api.post(f"/api/v1/namespaces/{space}/pods?dryRun=All", a_pod(resources=resources))
    kept = made["spec"]["containers"][0]["resources"]
    assert kept.get("limits") == resources.get("limits")
    assert kept["requests"].items() >= resources.get("requests", resources.get("limits", {})).items()


@pytest.mark.parametrize(
    ("resources", "lacking"),
    [
        ({"requests": {"cpu": "5"}}, "requests.cpu"),
        ({"requests": {"memory": "9Gi"}}, "requests.memory"),
        ({"limits": {"nvidia.com/gpu": "2"}}, "requests.nvidia.com/gpu"),
    ],
    ids=str,
)
def test_more_than_the_quota_is_refused(
    cluster: LocalCluster, space: str, resources: dict[str, Any], lacking: str
) -> None:
    error = refusal(cluster, f"/api/v1/namespaces/{space}/pods?dryRun=All", a_pod(resources=resources))
    assert f"exceeded quota: nightcrawler-{space}" in error
    assert lacking in error


def test_an_existing_namespace_is_refused_with_what_to_do(cluster: LocalCluster, namespace: str) -> None:
    def install(*values: str) -> None:
        command = ("install", "nightcrawler", str(CHART), "--dry-run=server", "--namespace=nightcrawler")
        # Other tests of this cluster have made the custom resources, and roles of the usual names.
        apart = (
            "--set=crds.install=false,computeProfiles.create=false",
            f"--set=fullnameOverride=nc-{namespace}",
        )
        helm(*command, *apart, *(f"--set-json={value}" for value in values), kubeconfig=cluster.kubeconfig)

    home_of_its_own = f'homeNamespace={{"name": "home-{namespace}"}}'

    with pytest.raises(
        HelmError, match=rf"homeNamespace\.name: there is a namespace {namespace} already"
    ) as home:
        install(f'homeNamespace={{"name": "{namespace}"}}')
    assert "Set homeNamespace.create to false to use it as it is, or choose another name." in str(home.value)
    with pytest.raises(HelmError, match=r"Set teams\[0\].create to false to use it as it is"):
        install(home_of_its_own, f'teams=[{{"name": "a", "namespaces": ["{namespace}"]}}]')
    install(home_of_its_own, f'teams=[{{"name": "a", "namespaces": ["{namespace}"], "create": false}}]')
