"""Where executions run: the Environment that is asked for, by name or alias, else the default one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import MANAGED, POOL
from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_environment, an_execution
from tests.support.operator import Operators
from tests.support.team import Team

TOLERATION = {"key": MANAGED, "operator": "Exists", "effect": "NoSchedule"}
HOME = an_environment("home", default=True, aliases=["production", "staging"])
DGX = an_environment(
    "dgx", aliases=["dgxCloudCalifornia"], node_selector={POOL: "dgx"}, tolerations=[TOLERATION]
)


@pytest.fixture(scope="module", autouse=True)
def environments(cluster: LocalCluster) -> Iterator[None]:
    """Two Environments, there before any operator is, and a node for the second."""
    made = Team(cluster, "default")
    for environment in (HOME, DGX):
        made.apply(environment)
    cluster.add_fake_nodes(FakeNode("dgx-1", tainted=True, labels={POOL: "dgx"}))
    yield
    cluster.remove_node("dgx-1")
    for environment in (HOME, DGX):
        made.delete(names.ENVIRONMENTS, environment.name)


def placed(team: Team, execution: str) -> tuple[str, str]:
    """The Environment on record, and why it was chosen."""
    environment: str = team.status(execution)["environment"]
    message: str = team.condition(names.EXECUTIONS, execution, "Placed")["message"]
    return environment, message


@pytest.mark.parametrize(
    ("asked", "why"),
    [("dgx", "runs in dgx: asked for by the execution"), ("dgxCloudCalifornia", "as 'dgxCloudCalifornia'")],
)
def test_pods_go_to_the_nodes_of_the_requested_environment(shared: Team, asked: str, why: str) -> None:
    own = {"key": "own", "operator": "Exists"}
    workflow = a_workflow(f"placed-{asked.lower()}").step("one", pod={"spec": {"tolerations": [own]}})
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow, environment=asked))

    shared.until_phase(run, "Completed")

    environment, message = placed(shared, run)
    assert environment == "dgx"
    assert why in message
    (pod,) = shared.pods(run)
    assert pod["spec"]["nodeName"] == "dgx-1"
    assert pod["spec"]["nodeSelector"] == {POOL: "dgx"}
    # The podTemplate adds to the Environment's tolerations, and takes none away.
    assert pod["spec"]["tolerations"][:2] == [TOLERATION, own]


def test_an_execution_that_names_none_runs_in_the_default_environment(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("undecided").step("one"))
    shared.until_phase(run, "Completed")
    assert placed(shared, run) == ("home", "runs in home: the default Environment")


def test_the_first_environment_of_the_workflow_comes_before_the_default(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("choosy", environments=["dgxCloudCalifornia", "staging"]).step("one"))
    shared.until_phase(run, "Completed")
    assert placed(shared, run) == ("dgx", "runs in dgx: the workflow's first, as 'dgxCloudCalifornia'")


def test_the_execution_overrides_the_workflow(shared: Team) -> None:
    workflow = a_workflow("overruled", environments=["dgx"]).step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow, environment="staging"))
    shared.until_phase(run, "Completed")
    assert placed(shared, run)[0] == "home"


def test_a_pod_template_narrows_the_nodes_of_an_environment_and_never_adds_any(shared: Team) -> None:
    narrower = {"spec": {"nodeSelector": {POOL: "dgx"}}}
    workflow = a_workflow("narrower", environments=["dgx"]).step("one", pod=narrower)
    (run,) = shared.runs(workflow)
    shared.until_phase(run, "Completed")

    leaving = a_workflow("leaving", environments=["dgx"]).step(
        "one", pod={"spec": {"nodeSelector": {POOL: "other"}}}
    )
    (run,) = shared.runs(leaving)

    status = shared.until_phase(run, "Failed")
    accepted = shared.condition(names.EXECUTIONS, run, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "InvalidPodTemplate")
    assert "asks for nodes with 'other', and those of the environment 'dgx' have 'dgx'" in status["message"]


def test_an_unknown_environment_is_refused_with_the_existing_ones(shared: Team) -> None:
    workflow = a_workflow("lost").step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow, environment="mars"))

    status = shared.until_phase(run, "Failed")

    accepted = shared.condition(names.EXECUTIONS, run, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "UnknownEnvironment")
    assert status["message"] == (
        "there is no environment 'mars'; there are: dgx, dgxCloudCalifornia, home, production, staging"
    )


@pytest.fixture
def limiting(cluster: LocalCluster) -> Iterator[str]:
    """An Environment that limits CPU to what is asked for."""
    made = Team(cluster, "default")
    made.apply(an_environment("limiting", cpu_limit="Request"))
    yield "limiting"
    made.delete(names.ENVIRONMENTS, "limiting")


def test_an_environment_gives_the_limit_that_a_quota_demands(
    limiting: str, operators: Operators, team: Team
) -> None:
    operators.start()
    team.set_quota({"limits.cpu": "2"}, {"limits.cpu": "0"})
    asks = {"cpu": "500m"}

    (run,) = team.runs(a_workflow("asks", environments=[limiting]).step("one", resources=asks))
    team.until_phase(run, "Completed")
    (pod,) = team.pods(run)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "500m"

    # Only what is asked for is limited: a step of any other environment, or without cpu, stays refused.
    unlimited = a_workflow("elsewhere", environments=["home"]).step("one", resources=asks)
    silent = a_workflow("silent", environments=[limiting]).step("one", resources={"cpu": "None"})
    for workflow in (unlimited, silent):
        (run,) = team.runs(workflow)
        assert team.until_phase(run, "Failed")["steps"]["one"]["reason"] == "PodForbidden"


@pytest.fixture
def any_name(cluster: LocalCluster) -> Iterator[None]:
    """The default Environment takes any name for a while."""
    path = f"/apis/{names.API_VERSION}/environments/{HOME.name}"
    cluster.api.merge(path, {"spec": {"acceptAnyName": True}})
    yield
    cluster.api.merge(path, {"spec": {"acceptAnyName": None}})


@pytest.mark.usefixtures("any_name")
def test_a_name_that_no_environment_has_means_a_default_one_that_takes_any(shared: Team) -> None:
    workflow = a_workflow("found").step("one")
    shared.apply(workflow)
    run = shared.begin(an_execution(workflow, environment="mars"))

    shared.until_phase(run, "Completed")

    environment, message = placed(shared, run)
    assert environment == "home"
    assert message == (
        "runs in home: the default Environment, which takes any name: no Environment is called 'mars'"
    )


@pytest.fixture
def no_default(cluster: LocalCluster) -> Iterator[None]:
    """The default Environment is none for a while."""
    path = f"/apis/{names.API_VERSION}/environments/home"
    cluster.api.merge(path, {"spec": {"default": False}})
    yield
    cluster.api.merge(path, {"spec": {"default": True}})


@pytest.mark.usefixtures("no_default")
def test_without_a_default_an_environment_has_to_be_named(operators: Operators, team: Team) -> None:
    operators.start()
    (run,) = team.runs(a_workflow("nowhere").step("one"))

    team.until_phase(run, "Failed")

    accepted = team.condition(names.EXECUTIONS, run, "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "NoEnvironment")
