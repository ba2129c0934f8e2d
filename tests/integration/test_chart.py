"""A real API server takes all that the chart makes, field by field, for every set of values in `ci/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import ClusterError, LocalCluster
from tests.support.chart import CASES, HOME, NAMESPACE, rendered

_HOMES = (HOME, "runs", "team-a", "vision", "vision-nightly")


@pytest.fixture(scope="module")
def namespaces(cluster: LocalCluster) -> Iterator[None]:
    """The namespaces that the manifests speak of: a dry run makes none, and then misses them."""
    made = [name for name in (NAMESPACE, *_HOMES) if not cluster.api.exists(f"/api/v1/namespaces/{name}")]
    for name in made:
        cluster.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield
    for name in made:
        cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("case", [None, *CASES], ids=lambda case: case.stem if case else "default")
def test_the_api_server_accepts_what_the_chart_renders(cluster: LocalCluster, case: Path | None) -> None:
    arguments = ("--server-side", "--dry-run=server", "--validate=strict", "--field-manager=helm")
    output = cluster.kubectl("apply", *arguments, "--force-conflicts", "-f", "-", stdin=rendered(case=case))
    assert "deployment.apps/nightcrawler-operator serverside-applied (server dry run)" in output


@pytest.mark.usefixtures("namespaces")
def test_a_field_that_kubernetes_does_not_know_is_found(cluster: LocalCluster) -> None:
    misspelt = rendered().replace("enableServiceLinks", "enableServiceLink")
    arguments = ("--server-side", "--dry-run=server", "--validate=strict", "--field-manager=helm")
    with pytest.raises(ClusterError, match="enableServiceLink"):
        cluster.kubectl("apply", *arguments, "--force-conflicts", "-f", "-", stdin=misspelt)


@pytest.mark.usefixtures("namespaces")
def test_pod_security_admission_finds_nothing_to_warn_of(cluster: LocalCluster) -> None:
    # `enforce` looks at Pods alone, `warn` also at what makes them.
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    cluster.api.merge(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": labels}})
    made = rendered({"crds": {"install": False}})
    arguments = ("--server-side", "--dry-run=server", "--field-manager=helm", "--warnings-as-errors")
    # Other tests of this cluster may have made roles of these names.
    cluster.kubectl("apply", *arguments, "--force-conflicts", "-f", "-", stdin=made)
