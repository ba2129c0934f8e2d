"""A chart installed with `rbac.create: false`: processes that nobody has given their rights yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import LocalCluster
from tests.support.facade import USER, FacadeProcess, account_kubeconfig
from tests.support.operator import Operators
from tests.support.polling import eventually

_ACCOUNT = "without-rights"


@pytest.fixture
def kubeconfig(cluster: LocalCluster, namespace: str, tmp_path: Path) -> Path:
    cluster.kubectl("create", "serviceaccount", _ACCOUNT, f"--namespace={namespace}")
    return account_kubeconfig(cluster, namespace, _ACCOUNT, tmp_path)


def _bind(cluster: LocalCluster, namespace: str, kind: str, role: str) -> None:
    account = f"--serviceaccount={namespace}:{_ACCOUNT}"
    cluster.kubectl("create", kind, f"{_ACCOUNT}-{namespace}", role, account, f"--namespace={namespace}")


@pytest.fixture
def bindings(cluster: LocalCluster, namespace: str) -> Iterator[None]:
    """Removes, after the test, what it has bound in the whole cluster."""
    yield
    cluster.kubectl("delete", "clusterrolebinding", f"{_ACCOUNT}-{namespace}", "--ignore-not-found")


@pytest.mark.usefixtures("bindings")
def test_an_operator_without_rights_says_which_and_leads_once_it_has_them(
    cluster: LocalCluster, namespace: str, operators: Operators, kubeconfig: Path
) -> None:
    operator = operators.make(kubeconfig=kubeconfig, leader_election=False)
    operator.launch()

    def problem() -> str:
        _, text = operator.ask("/readyz")
        return text

    eventually(lambda: "rbac.create" in problem(), within=30, what="it to say what to do")
    assert f'system:serviceaccount:{namespace}:{_ACCOUNT}\\" cannot list resource' in problem()
    assert operator.probe("/healthz") is not None, "a restart would not help"
    assert operator.log.count("give this service account the rights") == 1
    _bind(cluster, namespace, "clusterrolebinding", "--clusterrole=nightcrawler-operator")
    eventually(lambda: operator.probe("/readyz") is not None, within=60, what="it to be ready")


@pytest.mark.usefixtures("bindings")
def test_a_facade_without_rights_says_what_it_cannot_read_and_serves_once_it_has_them(
    cluster: LocalCluster, namespace: str, kubeconfig: Path, tmp_path: Path
) -> None:
    facade = FacadeProcess(cluster, namespace, tmp_path, kubeconfig=kubeconfig)
    try:
        facade.start(ready=False)

        def answers(code: int, words: str) -> bool:
            answer = facade.http.get("/api/workflows")
            return answer.status_code == code and words in answer.text

        eventually(lambda: answers(503, "the facade has no rights in it"), within=30, what="it to say why")
        assert "hack/rbac.yaml" in facade.http.get("/api/workflows").text
        _bind(cluster, namespace, "rolebinding", f"--role={USER}")
        _bind(cluster, namespace, "clusterrolebinding", f"--clusterrole={USER}")
        eventually(lambda: answers(200, '"total":0'), within=60, what="it to serve")
    finally:
        facade.close()
