"""The cluster of the integration tests: a real control plane, our custom resources in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from localcluster import ClusterError, LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names
from nightcrawler_crds.generate.kinds import KINDS
from tests.support.polling import eventually

_PATIENCE: Final = 30.0
_QUICK: Final = ("--kube-api-qps=300", "--kube-api-burst=600")
_UNTHROTTLED: Final = {"kube-controller-manager": _QUICK, "kube-scheduler": _QUICK}
CRDS: Final = Path(__file__).parents[2] / "crds"
PROFILES: Final = Path(__file__).parents[2] / "examples" / "compute-profiles.yaml"


def install_crds(cluster: LocalCluster) -> None:
    """Create or renew our custom resources and profiles, and wait until the API server serves them."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    eventually(lambda: _is_published(cluster), within=_PATIENCE, what="the API server to publish our kinds")
    cluster.kubectl("apply", "--server-side", "-f", str(PROFILES))


def _is_published(cluster: LocalCluster) -> bool:
    """Whether kubectl knows all our kinds and the server can store them, which takes it a moment more."""
    try:
        known = cluster.kubectl("api-resources", f"--api-group={names.GROUP}", "--output=name").split()
    except ClusterError:  # on the way there the server may say that it has the group and not what is in it
        return False
    path = f"/openapi/v3/apis/{names.API_VERSION}"
    schemas = json.dumps(cluster.api.get(path)) if cluster.api.exists(path) else ""
    published = len(known) == len(KINDS) and all(
        f'"kind": "{kind.resource.kind}"' in schemas for kind in KINDS
    )
    # Their storage comes last; until then every request is answered with 429.
    lists = (f"/apis/{names.API_VERSION}/{kind.resource.plural}" for kind in KINDS)
    return published and all(cluster.api.is_ok(path) for path in lists)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A control plane of this session's own, without nodes until a test asks for `nodes`.

    Every request is in its audit log. Its controllers and scheduler may ask as often as they like, for
    their usual 20 requests a second are what large graphs would be waiting for.
    """
    folder = tmp_path_factory.mktemp("cluster")
    with LocalCluster.start(folder, audit=True, extra_args=_UNTHROTTLED) as started:
        install_crds(started)
        yield started


@contextlib.contextmanager
def a_namespace(cluster: LocalCluster) -> Iterator[str]:
    """A new namespace in which Pods can be made; what is in it goes with it."""
    name = f"test-{uuid4().hex[:8]}"
    cluster.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(lambda: cluster.api.exists(account), what="the namespace's service account")
    try:
        yield name
    finally:
        try:
            cluster.api.delete(f"/api/v1/namespaces/{name}")
        except RefusedError as refusal:
            if refusal.status != 404:  # the test has deleted it
                raise


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with a_namespace(cluster) as name:
        yield name
