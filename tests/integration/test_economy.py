"""What a run costs the API server, by its own count."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from nightcrawler_crds import names
from tests.support.audit import Audit
from tests.support.builders import a_chain
from tests.support.operator import Operators
from tests.support.polling import eventually
from tests.support.team import Team

RUNS: Final = 20
STEPS: Final = 5
AT_ONCE: Final = 4


@pytest.mark.usefixtures("nodes")
def test_a_sequential_run_of_five_short_steps_costs_five_jobs_and_at_most_seven_status_writes(
    operators: Operators, team: Team
) -> None:
    operators.start(job_cleanup_after=0, history_completed=RUNS)
    workflow = a_chain("frugal", STEPS, lasts=0.1)
    team.apply(workflow)
    runs: list[str] = []
    for _ in range(RUNS // AT_ONCE):
        batch = [team.run(workflow) for _ in range(AT_ONCE)]
        for run in batch:
            team.until_phase(run, "Completed")
        runs += batch
    eventually(lambda: not team.every(names.JOBS), what="all Jobs to be cleaned up")

    def cleanups() -> int:
        return Audit(team).counts()["deletecollection jobs"]

    # A request is in the log once it is answered, and a Job may be gone before.
    eventually(lambda: cleanups() >= RUNS, what="all to be cleaned up, by the log")
    requests = Audit(team).requests()
    made = [r.name for r in requests if r.what == "create jobs" and r.status == 201]
    jobs = {run: sum(name.startswith(f"{run}-") for name in made) for run in runs}
    writes = Counter(r.name for r in requests if r.what == "patch workflowexecutions/status")

    assert jobs == dict.fromkeys(runs, STEPS)
    assert len(made) == RUNS * STEPS
    assert writes.keys() == set(runs)
    assert max(writes.values()) <= 7, writes
    writing = ("create", "patch", "delete", "deletecollection")
    # Runs that begin at the same moment all try to keep what they have in common; one of them does.
    others = Counter(r.what for r in requests if r.verb in writing and r.status != 409)
    # One to make the workflow its owner, one for the content of the workflow, one to clean up.
    assert others["patch workflowexecutions"] == RUNS
    assert others["create controllerrevisions"] == 1
    assert others["deletecollection jobs"] == RUNS
    assert others["delete jobs"] == 0
    print(f"status writes by run: {sorted(writes.values())}; all writes: {dict(others)}")  # noqa: T201
    print(f"reads: {Counter(r.what for r in requests if r.verb in ('get', 'list'))}")  # noqa: T201


def test_a_workflow_is_written_at_most_once_a_second(shared: Team) -> None:
    workflow = a_chain("calm", 1, lasts=1.5).with_spec(history={"completed": 15})
    shared.apply(workflow)
    runs = [shared.run(workflow) for _ in range(15)]
    for run in runs:
        shared.until_phase(run, "Completed")
    shared.until_last_run("calm", max(runs, key=shared.made), "Completed")

    writes = [
        r.at for r in Audit(shared).requests() if r.what == "patch workflows/status" and r.name == "calm"
    ]

    # Fifteen runs began, started and ended. A request may be a little late, and the next one then is not.
    assert 2 <= len(writes) <= (writes[-1] - writes[0]).total_seconds() + 2
