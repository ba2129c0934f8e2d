"""What ended runs owe, on a real API server: selected, recorded, waited for, given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from localcluster import LocalCluster
from localcluster.api import RefusedError
from nightcrawler_crds import clock, names
from nightcrawler_crds.generate.kinds import KINDS, definition
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster import installed
from tests.support.builders import a_workflow, an_execution
from tests.support.operator import Operators
from tests.support.polling import always, eventually
from tests.support.team import Json, Team


def an_ended_run(team: Team, name: str, workflow: str, *duties: str) -> None:
    """A run that has ended, and owes something."""
    team.begin(an_execution(workflow, name).with_metadata(labels={names.LABEL_WORKFLOW: workflow}))
    owes(team, name, *duties, phase="Completed", completionTime=clock.to_wire(clock.utcnow()))


def owes(team: Team, name: str, *duties: str, **status: Any) -> None:
    changed = {"settled": False, "duties": [*duties], **status}
    team.cluster.api.merge(f"{team.path(names.EXECUTIONS, name)}/status", {"status": changed})


def note(team: Team, name: str, duties: str) -> None:
    """What the facade writes once it has done something for a run."""
    marks = {"annotations": {names.ANNOTATION_DUTIES_DONE: duties}}
    team.cluster.api.merge(team.path(names.EXECUTIONS, name), {"metadata": marks})


def until_settled(team: Team, name: str) -> Json:
    return eventually(
        lambda: team.status(name),
        until=lambda status: status["settled"] is True,
        what=f"{name} to be settled",
    )


def test_what_the_facade_notes_settles_a_run_and_what_nobody_does_is_given_up(
    operators: Operators, team: Team
) -> None:
    team.apply(a_workflow("wf").step("one"))
    an_ended_run(team, "served", "wf", "Logs", "Archive")
    an_ended_run(team, "left", "wf", "Archive")
    operator = operators.start()

    note(team, "served", "Logs")
    eventually(
        lambda: team.status("served")["duties"],
        until=lambda left: left == ["Archive"],
        what="one duty to go",
    )
    note(team, "served", "Logs,Archive")
    served = until_settled(team, "served")
    assert ("duties" in served, served["phase"]) == (False, "Completed")

    # The time counts from the end of the run, so that a restart neither adds to it nor takes from it.
    assert team.status("left")["settled"] is False
    operator.stop()
    operator.start(archive_timeout="1s")
    assert "duties" not in until_settled(team, "left")
    said = team.condition(names.EXECUTIONS, "left", "DutiesDone")
    assert (said["status"], said["reason"]) == ("False", "DutyOverdue")
    assert said["message"] == "not done within 1 second of its end: Archive"
    assert "conditions" not in team.status("served")


def test_beyond_the_number_that_may_owe_the_oldest_settle(operators: Operators, team: Team) -> None:
    team.apply(a_workflow("wf").step("one"))
    for number in range(4):
        an_ended_run(team, f"run-{number}", "wf", "Archive")
    operators.start(max_owing_runs=2)
    for number in range(2):
        until_settled(team, f"run-{number}")
        assert team.condition(names.EXECUTIONS, f"run-{number}", "DutiesDone")["reason"] == "TooManyOwe"
    assert [team.status(f"run-{number}")["settled"] for number in (2, 3)] == [False, False]


@pytest.mark.usefixtures("nodes")
def test_neither_history_nor_the_clean_up_of_jobs_takes_what_is_owed_something(
    operators: Operators, team: Team
) -> None:
    operator = operators.start(job_cleanup_after="1h")
    team.apply(a_workflow("kept").step("one"))
    team.until_phase(team.run("kept", "first"), "Completed")
    operator.stop()
    owes(team, "first", "Logs")
    team.edit(a_workflow("kept", history={"completed": 0}).step("one"))

    operator.start(job_cleanup_after=0)
    team.run("kept", "second")
    eventually(lambda: team.get(names.EXECUTIONS, "second") is None, what="the run that owes nothing to go")
    always(lambda: len(team.jobs("first")) == 1, during=1, what="the Job whose log is wanted")

    note(team, "first", "Logs")
    eventually(lambda: team.get(names.EXECUTIONS, "first") is None, what="what is settled to go")


@pytest.fixture
def without_selectable_fields(cluster: LocalCluster) -> Iterator[Resource]:
    """Executions as an earlier version installed them, in a group of their own."""
    (kind,) = (kind for kind in KINDS if kind.resource == names.EXECUTIONS)
    body = definition(kind)
    old = Resource("earlier.nightcrawler.dev", *names.EXECUTIONS[1:])
    body["metadata"]["name"] = f"{old.plural}.{old.group}"
    body["spec"] |= {"group": old.group}
    body["spec"]["names"] |= {"shortNames": [], "categories": []}
    body["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".status.phase"}]
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.api.post(path, body)
    served = f"/apis/{old.group}/{old.version}/{old.plural}"
    try:
        eventually(lambda: is_served(cluster, served), what="the kind to be served")
        yield old
    finally:
        cluster.api.delete(f"{path}/{body['metadata']['name']}")


def is_served(cluster: LocalCluster, path: str) -> bool:
    try:
        cluster.api.get(path)
    except RefusedError:
        return False
    return True


async def test_a_custom_resource_that_lacks_a_field_is_named_with_what_to_do(
    cluster: LocalCluster, without_selectable_fields: Resource
) -> None:
    connection = await Connection.open("test", kubeconfig=str(cluster.kubeconfig))
    store = Store(connection)
    try:
        assert await installed.missing(store, "") == ""
        with mock.patch.object(names, "EXECUTIONS", without_selectable_fields):
            sentence = await installed.missing(store, "")
        with mock.patch.object(names, "EXECUTIONS", Resource("nobody.example.com", *names.EXECUTIONS[1:])):
            absent = await installed.missing(store, "")
    finally:
        await connection.close()
    assert "it has no selectable field .status.settled; install those of this version" in sentence
    assert "are not installed" in absent
