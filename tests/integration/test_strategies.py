"""Strategies on real Environments: pools of different size, price and speed, and the status."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster import FakeNode, LocalCluster
from localcluster.fakenodes import POOL
from nightcrawler_crds import names
from tests.support.builders import a_workflow, an_environment
from tests.support.facade import serving
from tests.support.operator import operators_in
from tests.support.polling import eventually
from tests.support.team import Team

Json = dict[str, Any]

SMALL: Final = an_environment(
    "small", node_selector={POOL: "small"}, prices={"cpuHour": 0.1, "currency": "USD"}
)
LARGE: Final = an_environment(
    "large", node_selector={POOL: "large"}, speed=4, prices={"cpuHour": 1.0, "currency": "USD"}
)
LISTED: Final = ["small", "large"]
ASKS: Final = {"cpu": 4}


@pytest.fixture(scope="module", autouse=True)
def pools(cluster: LocalCluster) -> Iterator[None]:
    """A small and cheap pool, and one that is large, fast and expensive."""
    everywhere = Team(cluster, "default")
    cluster.add_fake_nodes(
        FakeNode("small-1", gpus=0, cpu="4", labels={POOL: "small"}),
        FakeNode("large-1", gpus=0, cpu="64", labels={POOL: "large"}),
    )
    for environment in (SMALL, LARGE):
        everywhere.apply(environment)
    yield
    for environment in (SMALL, LARGE):
        everywhere.delete(names.ENVIRONMENTS, environment.name)
    for node in ("small-1", "large-1"):
        cluster.remove_node(node)


def placed(team: Team, run: str) -> tuple[str, str, dict[str, Json]]:
    """Where a run was placed, the sentence that says why, and the candidates by name."""
    team.until_condition(names.EXECUTIONS, run, "Placed", "True")
    status = team.status(run)
    message = team.condition(names.EXECUTIONS, run, "Placed")["message"]
    return status["environment"], message, {one["environment"]: one for one in status["placement"]}


def test_cost_waits_for_the_cheap_pool_and_start_takes_the_one_with_room(shared: Team) -> None:
    filling = a_workflow("filling", environments=["small"]).step("one", resources=ASKS, lasts=3600)
    (first,) = shared.runs(filling)
    shared.until_pod_runs(first)
    for strategy in ("cost", "start"):
        workflow = a_workflow(f"by-{strategy}", environments=LISTED, environment_strategy=strategy)
        shared.apply(workflow.step("one", resources=ASKS).config(timeout="1 hour"))

    def small_pool() -> Json:
        return placed(shared, shared.run("by-start"))[2]["small"]

    # The Pods of the nodes are followed by a watch of their own, which may be a moment behind.
    eventually(small_pool, until=lambda small: small["wait"] > 0, what="the small pool to be seen full")
    run = shared.run("by-start")
    _, message, there = placed(shared, run)
    assert message.startswith("runs in large: it starts there first, at once (small: in about ")
    assert (there["large"]["wait"], "passedOver" in there["large"]) == (0, False)
    assert there["small"]["passedOver"] == "large is better for start: at once"
    shared.until_phase(run, "Completed")

    waiting = shared.run("by-cost")
    environment, message, there = placed(shared, waiting)
    assert environment == "small"
    assert message == "runs in small: it costs least there, about 0.40 USD (large: about 1.00 USD)"
    assert there["large"]["passedOver"] == "small is better for cost: about 0.40 USD"
    shared.cancel(first)
    shared.until_phase(waiting, "Completed")


def test_time_takes_the_pool_where_earlier_runs_say_that_it_ends_first(shared: Team) -> None:
    workflow = a_workflow("by-time", environments=LISTED, environment_strategy="time")
    shared.apply(workflow.step("one", lasts=2, resources={"cpu": 1}))
    known = shared.run("by-time", environment="small")
    shared.until_phase(known, "Completed")
    assert "placement" not in shared.status(known)

    run = shared.run("by-time")

    environment, message, there = placed(shared, run)
    assert environment == "large"
    assert message.startswith("runs in large: it ends there first, in about 1 second")
    # The run in the small pool took two or three seconds, and the large one is four times as fast.
    assert there["small"]["duration"] in (2, 3)
    shared.until_phase(run, "Completed")


def test_without_a_list_a_strategy_chooses_among_all_environments(shared: Team) -> None:
    (run,) = shared.runs(a_workflow("anywhere", environment_strategy="cost").step("one", resources=ASKS))
    environment, _, there = placed(shared, run)
    assert environment == "small"
    assert {"small", "large"} <= there.keys()
    shared.until_phase(run, "Completed")


def test_a_run_shows_what_it_will_and_what_it_did_cost_and_why_it_ran_there(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with (
        serving(cluster, tmp_path) as served,
        operators_in(cluster, served.namespace, tmp_path) as operators,
    ):
        team = Team(cluster, served.namespace)
        operators.start()
        workflow = a_workflow("priced", environments=LISTED, environment_strategy="cost")
        team.apply(workflow.step("one", resources=ASKS, lasts=2).config(timeout="1 hour"))

        begun = served.ask("POST", "/priced/execute", {}, code=201)
        # Four cores for as long as it may take, in the cheap pool.
        assert begun["estimatedCost"] == {"amount": 0.4, "currency": "USD"}
        assert begun["estimatedDuration"] == "01:00:00"
        # Known once the operator has observed what is free there.
        assert begun.get("estimatedWait", "00:00:00") == "00:00:00"
        run = begun["executionId"]

        def shown() -> Json:
            return served.ask("GET", f"/priced/executions/{run}")

        live = eventually(shown, until=lambda one: "placement" in one, what="where it was placed")
        assert live["placementMessage"].startswith("runs in small: it costs least there, about 0.40 USD")
        assert live["estimatedCost"] == begun["estimatedCost"]
        status = team.until_phase(run, "Completed")
        seconds = status["cost"]["amount"] * 3600 / (4 * 0.1)
        assert seconds == pytest.approx(2, abs=1.01), "a node reports whole seconds"
        ended = eventually(shown, until=lambda one: one["status"] == "completed", what="its end")
        assert ended["cost"] == status["cost"]
        assert not [field for field in ended if field.startswith("estimated")]
        assert [(one["environment"], "passedOver" in one) for one in ended["placement"]] == [
            ("small", False),
            ("large", True),
        ]
        # The next one is expected to take as long as this one did.
        again = served.ask("POST", "/priced/execute", {}, code=201)
        assert again["estimatedDuration"] in ("00:00:02", "00:00:03")
