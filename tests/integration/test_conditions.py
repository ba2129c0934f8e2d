"""Conditions of executions as scripts wait for them."""

from __future__ import annotations

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.team import Team


def wait(cluster: LocalCluster, team: Team, condition: str, run: str) -> str:
    """What `kubectl wait` says, with the short name that no other product has."""
    namespace = f"--namespace={team.namespace}"
    return cluster.kubectl("wait", f"--for=condition={condition}", f"ncwfe/{run}", namespace, "--timeout=60s")


def test_kubectl_wait_sees_the_success_of_a_run_and_the_end_of_one_that_fails(
    shared: Team, cluster: LocalCluster
) -> None:
    (good,) = shared.runs(a_workflow("good").step("one"))
    (bad,) = shared.runs(a_workflow("bad").step("one", exit_code=3))

    assert "condition met" in wait(cluster, shared, "Succeeded", good)
    assert "condition met" in wait(cluster, shared, "Finished", bad)
    assert "condition met" in wait(cluster, shared, "Succeeded=False", bad)
    for kind in ("Finished", "Succeeded"):
        assert shared.condition(names.EXECUTIONS, bad, kind)["reason"] == "StepFailed"


@pytest.mark.parametrize("before", ["Running"])
def test_whether_a_run_succeeds_is_not_reported_before_its_end(shared: Team, before: str) -> None:
    (run,) = shared.runs(a_workflow("long").step("one", lasts=600))
    status = shared.until_phase(run, before)
    assert "Succeeded" not in {condition["type"] for condition in status["conditions"]}
    shared.cancel(run)
    shared.until_phase(run, "Cancelled")
    assert shared.condition(names.EXECUTIONS, run, "Succeeded")["status"] == "False"
