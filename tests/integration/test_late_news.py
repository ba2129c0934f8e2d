"""Each kind has a watch of its own: what the operator decides must not hang on which of them is ahead."""

from __future__ import annotations

import re

import pytest

from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_environment, an_execution
from tests.support.operator import Operators
from tests.support.polling import always, eventually
from tests.support.proxy import FaultProxy
from tests.support.team import Team

pytestmark = pytest.mark.usefixtures("nodes")

WORKFLOWS = r"/workflows\?"
EXECUTIONS = r"/workflowexecutions\?"
ENVIRONMENTS = r"/environments\?"


def test_a_run_begun_right_after_an_edit_uses_what_was_edited(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig)
    team.apply(a_workflow("edited").step("one", image="old:1"))
    team.until_condition(names.WORKFLOWS, "edited", "Accepted", "True")
    proxy.hold(WORKFLOWS)

    team.edit(a_workflow("edited").step("one", image="new:1"))
    run = team.run("edited")

    team.until_phase(run, "Completed")
    (pod,) = team.pods(run)
    assert pod["spec"]["containers"][0]["image"] == "new:1"


def test_a_workflow_that_was_corrected_just_now_is_not_refused(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig)
    team.apply(a_workflow("corrected").step("one", depends_on=["nothing"]))
    team.until_condition(names.WORKFLOWS, "corrected", "Accepted", "False")
    proxy.hold(WORKFLOWS)

    team.edit(a_workflow("corrected").step("one"))

    team.until_phase(team.run("corrected"), "Completed")


def test_an_environment_may_be_applied_together_with_a_run_in_it(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig)
    workflow = a_workflow("together").step("one")
    team.apply(workflow)
    team.until_condition(names.WORKFLOWS, "together", "Accepted", "True")
    proxy.hold(ENVIRONMENTS)
    first, second = an_environment("first", aliases=["both"]), an_environment("second", default=True)
    placed = []

    for environment, asked in ((first, {"environment": "both"}), (second, {})):
        team.apply(environment)
        run = team.begin(an_execution(workflow, **asked))
        placed.append(team.until_phase(run, "Completed")["environment"])

    for environment in (first, second):
        team.delete(names.ENVIRONMENTS, environment.name)
    assert placed == ["first", "second"]


def test_environments_are_listed_only_where_a_new_one_would_matter(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig)
    # Kopf watches them after its own first list.
    eventually(lambda: proxy.is_watched(ENVIRONMENTS), what="Kopf to watch environments")
    workflow = a_workflow("asking").step("one")
    team.apply(workflow)

    def lists_for(**asked: str) -> int:
        before = lists()
        team.until_ended(team.begin(an_execution(workflow, **asked)))
        return lists() - before

    def lists() -> int:
        return sum(bool(re.search(r"^GET .*/environments\b", request)) for request in proxy.asked)

    nowhere, somewhere = lists_for(), lists_for(environment="here")
    here = an_environment("here")
    team.apply(here)
    unknown, known = lists_for(environment="there"), lists_for(environment="here")
    team.delete(names.ENVIRONMENTS, here.name)

    assert (nowhere, somewhere, unknown, known) == (0, 1, 1, 0)


def test_a_run_of_a_workflow_that_was_deleted_just_now_does_not_begin(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig, workflow_not_found_grace=1)
    team.apply(a_workflow("deleted").step("one"))
    team.until_condition(names.WORKFLOWS, "deleted", "Accepted", "True")
    proxy.hold(WORKFLOWS)
    team.delete(names.WORKFLOWS, "deleted")

    run = team.run("deleted")

    team.until_phase(run, "Failed")
    assert team.condition(names.EXECUTIONS, run, "Accepted")["reason"] == "WorkflowNotFound"
    assert team.jobs(run) == []


def test_a_deletion_missed_by_every_watch_is_found_by_the_resync(
    proxy: FaultProxy, operators: Operators, team: Team
) -> None:
    operators.start(kubeconfig=proxy.kubeconfig, resync_period=2)
    # Without a Job, there is nothing else by whose end it would be noticed.
    kept, deleted = team.runs(a_workflow("unheard").step("one", resources={"gpu": "NVIDIA H100"}), 2)
    eventually(lambda: active(team, "unheard") == 2, what="two in flight")
    proxy.hold(EXECUTIONS)

    team.delete(names.EXECUTIONS, deleted)

    eventually(lambda: active(team, "unheard") == 1, what="one in flight")
    always(lambda: team.status(kept)["phase"] == "Pending", during=0.5, what="the other one")


def active(team: Team, workflow: str) -> int:
    """How many runs are in flight, as the workflow shows it."""
    status = (team.get(names.WORKFLOWS, workflow) or {}).get("status", {})
    return int(status.get("active", 0))
