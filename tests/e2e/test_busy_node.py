"""A node with far more to do than it can do at once loses no Job, no Pod and no log."""

from __future__ import annotations

from typing import Final

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_execution
from tests.support.polling import eventually
from tests.support.real_node import Installation, Run, shell
from tests.support.team import Team, is_live

pytestmark = pytest.mark.real_node

RUNS: Final = 12
STEPS: Final = tuple(f"Step {number}" for number in range(1, 6))
_WITHIN: Final = 300.0


def launch(here: Installation, namespace: str) -> list[Run]:
    """All runs at once: on two cores, the kubelet reports ends more than ten seconds after they were."""
    workflow = a_workflow("busy", history={"completed": RUNS, "failed": RUNS})
    for step in STEPS:
        workflow = workflow.step(step, command=shell(f"sleep 0.5; echo '{step} is done'"))
    runs = [an_execution(workflow, f"busy-{number:02}") for number in range(RUNS)]
    here.apply(workflow.manifest(), *(run.manifest() for run in runs), namespace=namespace)
    return [Run(here, run.name, namespace) for run in runs]


def test_every_job_and_its_log_outlast_a_load_under_which_the_kubelet_is_late(
    here: Installation, elsewhere: str
) -> None:
    runs = launch(here, elsewhere)
    team = Team(here.cluster, elsewhere)

    for run in runs:
        team.until_phase(run.name, "Completed", within=_WITHIN)
    # Once the kubelet has reported every end, nothing is left that could count as live.
    eventually(lambda: not [p for p in team.every(names.PODS) if is_live(p)], what="all ends", within=_WITHIN)

    assert len(team.every(names.JOBS)) == RUNS * len(STEPS)
    assert "are still live" not in here.operator_log
    for run in runs:
        log = here.kubectl(
            "logs",
            f"--namespace={elsewhere}",
            f"--selector={names.LABEL_EXECUTION}={run.name}",
            "--container=step",
        )
        assert sorted(log.splitlines()) == [f"{step} is done" for step in STEPS]
