"""The API server or its etcd dies in the middle of runs, on a cluster of this file's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import names
from tests.support.builders import a_chain, a_workflow
from tests.support.cluster import install_crds
from tests.support.exactlyonce import assert_there_once
from tests.support.operator import QUICK_LEASE, Operators
from tests.support.polling import eventually
from tests.support.team import Json, Team, is_live

pytestmark = pytest.mark.usefixtures("nodes")

THREE: Final = ("s1/1", "s2/1", "s3/1")
AFTER_AN_OUTAGE: Final = 120
"""The scheduler tries again up to a minute after an outage: client-go doubles its pauses up to that."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster that may be broken: no other file uses it."""
    with LocalCluster.start(tmp_path_factory.mktemp("breakable"), kwok_nodes=[FakeNode("node-1")]) as started:
        install_crds(started)
        yield started


@pytest.fixture(scope="module")
def nodes(cluster: LocalCluster) -> tuple[str, ...]:
    """The nodes of that cluster."""
    return ("node-1",)


def look_again(team: Team) -> None:
    """A kubelet repeats a status that the server did not take; kwok does not, until the Pod changes."""
    for pod in eventually(lambda: listed(team), what="the Pods"):
        if is_live(pod):
            eventually(partial(touched, team, pod), what="a Pod to be touched")


# Ready though it says it is, the API server may answer 429 or 500 for a moment.


def listed(team: Team) -> list[Json]:
    with suppress(RefusedError):
        return team.every(names.PODS)
    return []


def touched(team: Team, pod: Json) -> bool:
    path = team.path(names.PODS, pod["metadata"]["name"])
    with suppress(RefusedError):
        team.cluster.api.merge(path, {"metadata": {"annotations": {"look": "again"}}})
        return True
    return False


@pytest.mark.parametrize("component", ["kube-apiserver", "etcd"])
def test_runs_go_on_after_a_restart_of(
    component: str, cluster: LocalCluster, operators: Operators, team: Team
) -> None:
    operator = operators.start(**QUICK_LEASE)
    runs = team.runs(a_chain("c", 3, lasts=1), 5)
    team.apply(flaky := a_workflow("f").step("s", exit_code=1, lasts=1, retries=1, retry_delay=0))
    failing = team.run(flaky)
    team.until_pod_runs(runs[0])

    cluster.stop_component(component, kill=True)
    cluster.start_component(component)
    look_again(team)

    for run in runs:
        team.until_phase(run, "Completed", within=AFTER_AN_OUTAGE)
    team.until_phase(failing, "Failed", within=AFTER_AN_OUTAGE)
    for run in runs:
        assert_there_once(team, run, *THREE)
    assert_there_once(team, failing, "s/1", "s/2")
    assert operator.is_alive
    eventually(lambda: operator.probe("/readyz"), what="the operator to be ready again")


def test_an_operator_that_starts_while_the_server_is_down_waits_for_it(
    cluster: LocalCluster, operators: Operators, team: Team
) -> None:
    team.apply(workflow := a_chain("c", 1))
    run = team.run(workflow)
    cluster.stop_component("kube-apiserver", kill=True)
    operator = operators.make(leader_election=False)

    operator.launch()
    eventually(lambda: operator.probe("/healthz"), what="the process to be up")
    assert operator.probe("/readyz") is None
    cluster.start_component("kube-apiserver")

    team.until_phase(run, "Completed", within=AFTER_AN_OUTAGE)
    assert_there_once(team, run, "s1/1")
