"""Jobs and Pods that lose their labels: no watch reports them any more, and they go on running."""

from __future__ import annotations

from typing import Final

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_workflow
from tests.support.operator import Operators
from tests.support.polling import always, eventually
from tests.support.team import Json, Team

pytestmark = pytest.mark.usefixtures("nodes")

OURS: Final = (names.LABEL_WORKFLOW, names.LABEL_EXECUTION, names.LABEL_EXECUTION_UID)


def strip(team: Team, resource: names.Resource, name: str) -> None:
    """Take our labels off an object."""
    team.cluster.api.merge(team.path(resource, name), {"metadata": {"labels": dict.fromkeys(OURS)}})


def every_pod(team: Team) -> list[str]:
    """The names of all Pods there are, with labels or without."""
    return [pod["metadata"]["name"] for pod in team.every(names.PODS)]


def until_not_watched(team: Team, run: str) -> Json:
    step = team.until_step(run, "one", reason="NotWatched")
    assert step["phase"] == "Running"
    assert names.LABEL_EXECUTION_UID in step["message"]
    return step


@pytest.mark.parametrize("restarted", [False, True], ids=["it saw the Pod", "it never saw the Pod"])
def test_a_pod_that_lost_its_labels_is_waited_for_and_its_result_counts(
    operators: Operators, team: Team, restarted: bool
) -> None:
    operator = operators.start()
    (run,) = team.runs(a_workflow("stripped").step("one", lasts=600).step("two"))
    pod = team.until_pod_runs(run)
    team.until_step(run, "one", phase="Running")
    if restarted:
        operator.stop()
    strip(team, names.PODS, pod["metadata"]["name"])
    if restarted:
        operator.start()

    until_not_watched(team, run)
    always(lambda: every_pod(team) == [pod["metadata"]["name"]], during=3, what="one Pod")
    team.finish(pod)

    status = team.until_phase(run, "Completed")
    assert status["steps"]["one"]["attempt"] == 1
    assert len(every_pod(team)) == 2


def test_a_pod_that_gets_its_labels_back_is_watched_again(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("relabelled").step("one", lasts=600))
    pod = shared.until_pod_runs(run)
    shared.until_step(run, "one", phase="Running")
    name = pod["metadata"]["name"]
    strip(shared, names.PODS, name)
    until_not_watched(shared, run)

    labels = {label: pod["metadata"]["labels"][label] for label in OURS}
    shared.cluster.api.merge(shared.path(names.PODS, name), {"metadata": {"labels": labels}})

    eventually(lambda: "reason" not in shared.step(run, "one"), what="nothing to be the matter")
    shared.finish(pod)
    shared.until_phase(run, "Completed")


def test_a_pod_that_is_deleted_without_its_labels_is_retried_when_it_is_gone(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("gone").step("one", lasts=600))
    first = shared.until_pod_runs(run)
    shared.until_step(run, "one", phase="Running")
    strip(shared, names.PODS, first["metadata"]["name"])
    until_not_watched(shared, run)

    shared.delete(names.PODS, first["metadata"]["name"])

    step = shared.until_step(run, "one", attempt=2)
    assert step["disruptions"] == 1
    shared.finish(shared.until_pod_runs(run))
    shared.until_phase(run, "Completed")


def test_a_job_that_lost_its_labels_does_not_count_as_deleted(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("job").step("one", lasts=600))
    pod = shared.until_pod_runs(run)
    shared.until_step(run, "one", phase="Running")
    strip(shared, names.JOBS, pod["metadata"]["name"])

    shared.finish(pod)

    assert shared.until_phase(run, "Completed")["steps"]["one"]["attempt"] == 1


def test_cancelling_ends_a_pod_that_lost_its_labels(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("cancelled").step("one", lasts=600))
    pod = shared.until_pod_runs(run)["metadata"]["name"]
    shared.until_step(run, "one", phase="Running")
    strip(shared, names.PODS, pod)
    until_not_watched(shared, run)

    shared.cancel(run)

    shared.until_phase(run, "Cancelled")
    eventually(lambda: pod not in every_pod(shared), what="the Pod to go")
