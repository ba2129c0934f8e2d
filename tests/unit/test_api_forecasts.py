"""What the facade expects of new and of live executions: where, when, how long, at what cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from nightcrawler_api.estimates import Expected
from nightcrawler_api.executions.forecasts import Forecasts
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView
from nightcrawler_crds.planning.resolved import StepDefaults
from nightcrawler_crds.v1alpha1 import WorkflowSpec, conditions
from tests.support.views import at, environment, execution, workflow

NOW: Final = at("16:00:00")
DAY: Final = "2025-07-10T"
EAST: Final = environment("east", default=True, prices={"cpuHour": 1, "currency": "USD"})
WEST: Final = environment("west", speed=2, prices={"cpuHour": 5, "currency": "USD"})
STEP: Final[dict[str, Any]] = {"name": "a", "image": "b:1", "resources": {"cpu": 2}}


@dataclass
class _Limits:
    max_running: int | None = None
    max_running_per_namespace: int | None = None
    max_running_in: dict[str, int] = field(default_factory=dict)


class Known:
    """A facade's caches with one workflow, some runs of it, and some Environments."""

    def __init__(
        self, *runs: ExecutionView, there: tuple[EnvironmentView, ...] = (EAST, WEST), **spec: Any
    ) -> None:
        self.limits = _Limits()
        self.cluster = ClusterCache(Store(Connection(Identity("http://localhost"), "test")), "default")
        self.cluster.cache_workflow(workflow("wf", steps=[STEP], **spec))
        for one in there:
            self.cluster._environments.cache.upsert(one)
        for run in runs:
            self.cluster.cache_execution(run)
        defaults = StepDefaults(default_timeout=7200)
        self.forecasts = Forecasts(self.cluster, defaults=defaults, limits=self.limits)

    @property
    def entry(self) -> WorkflowEntry:
        entry = self.cluster.index.workflow(("default", "wf"))
        assert entry is not None
        return entry

    def new(self, environment: str | None = None) -> Expected:
        spec = WorkflowSpec.model_validate(self.entry.view.spec)
        return self.forecasts.of_new(self.entry, spec, environment, NOW)

    def live(self, run: ExecutionView) -> Expected | None:
        return self.forecasts.of_live(self.entry, run, NOW)


def completed(name: str, place: str, minutes: int) -> ExecutionView:
    times: Any = {"startTime": DAY + "14:00:00Z", "completionTime": f"{DAY}14:{minutes:02}:00Z"}
    return execution(name, of="wf", phase="Completed", environment=place, **times)


ACCEPTED: Final = {"type": conditions.ACCEPTED, "status": "True"}


def running(name: str, place: str = "east", start: str = "15:55:00") -> ExecutionView:
    status: Any = {"phase": "Running", "environment": place, "startTime": f"{DAY}{start}Z"}
    return execution(name, of="wf", conditions=[ACCEPTED], **status)


def queued(name: str, place: str = "east", **fields: Any) -> ExecutionView:
    said = [ACCEPTED, {"type": conditions.GRANTED, "status": "False", "reason": conditions.QUEUED}]
    return execution(name, of="wf", phase="Pending", environment=place, conditions=said, **fields)


# --- new ones ----------------------------------------------------------------------------------------


def test_a_new_run_takes_as_long_as_earlier_ones_at_the_prices_of_its_environment() -> None:
    known = Known(completed("a", "east", 10), completed("b", "east", 20), completed("c", "east", 40))

    assert known.new() == Expected(1200, cost=0.666667, currency="USD")
    assert known.new("west") == Expected(600, cost=1.666667, currency="USD")


@pytest.mark.parametrize(("strategy", "duration"), [("cost", 1200), ("time", 600), (None, 1200)])
def test_it_is_expected_where_the_strategy_would_place_it(strategy: str | None, duration: float) -> None:
    known = Known(completed("a", "east", 20), environmentStrategy=strategy, environments=["east", "west"])

    assert known.new().duration == duration


def test_a_cordoned_environment_is_passed_over() -> None:
    closed = environment("east", default=True, state="Cordoned")
    known = Known(there=(closed, WEST))
    known.cluster.cache_workflow(workflow("wf", version=2, steps=[STEP], environments=["east", "west"]))

    assert known.new().currency == "USD"


@pytest.mark.parametrize("there", [(), (environment("east", default=True),)])
def test_without_prices_there_is_no_cost(there: tuple[EnvironmentView, ...]) -> None:
    assert Known(there=there).new() == Expected(7200)


def test_without_a_limit_the_wait_is_unknown_and_under_one_it_is_that_for_its_turn() -> None:
    runs = [completed("a", "east", 10), running("b"), running("c", start="15:52:00")]
    known = Known(*runs)
    assert known.new().wait is None

    known.limits.max_running = 2
    assert known.new().wait == 120
    known.limits.max_running = 3
    assert known.new().wait == 0
    known.limits.max_running = None
    known.limits.max_running_in = {"default": 1}
    assert known.new().wait == 300
    known.limits.max_running_in = {"other": 1}
    assert known.new().wait is None


def test_the_limits_of_workflow_and_environment_count() -> None:
    runs = [completed("a", "east", 10), running("b")]

    assert Known(*runs, maxRunning=1).new().wait == 300
    narrow = environment("east", default=True, maxRunning=1)
    assert Known(*runs, there=(narrow, WEST)).new().wait == 300


def test_a_strategy_goes_where_its_turn_comes_first() -> None:
    narrow = environment("east", maxRunning=1)
    known = Known(
        completed("a", "east", 10),
        running("b"),
        there=(narrow, WEST),
        environmentStrategy="start",
    )

    assert known.new().currency == "USD"


FREE: Final = {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}
A100: Final = {"resource": "nvidia.com/gpu", "model": "NVIDIA-A100-SXM4-80GB", "capacity": 8}


def observed(waiting: int = 0, largest: str = "8", **spec: Any) -> EnvironmentView:
    status = {
        "free": FREE,
        "largestFreeNode": {"name": "n", "free": {**FREE, "cpu": largest}},
        "gpus": [{**A100, "free": 2, "largestFree": 1}],
        "waiting": waiting,
    }
    return environment("east", default=True, status=status, **spec)


@pytest.mark.parametrize(
    ("there", "fields", "wait"),
    [
        pytest.param(observed(), {}, 0, id="there is room"),
        pytest.param(observed(waiting=3), {}, 0, id="for those that wait before it too"),
        pytest.param(observed(waiting=4, nodes="Autoscaled"), {}, 300, id="a node is added"),
        pytest.param(observed(waiting=4), {}, 1500, id="until both that run have ended, and three more"),
        pytest.param(observed(largest="1500m"), {}, 300, id="on no single node"),
        pytest.param(observed(), {"gpu": "1x A100"}, 0, id="a GPU of the model"),
        pytest.param(observed(), {"gpu": "2x A100"}, 300, id="two, and a node has one free"),
        pytest.param(observed(), {"gpu": 1}, 0, id="a GPU of any model"),
        pytest.param(environment("east", default=True), {}, None, id="nothing is observed yet"),
    ],
)
def test_without_a_limit_it_waits_for_room(there: EnvironmentView, fields: Any, wait: float | None) -> None:
    runs = [completed("a", "east", 10), running("b"), running("c", start="15:59:00")]
    known = Known(*runs, there=(there,))
    asking = {**STEP, "resources": {**STEP["resources"], **fields}}
    known.cluster.cache_workflow(workflow("wf", version=2, steps=[asking]))

    assert known.new().wait == wait


def steps_of(*resources: Any) -> list[dict[str, Any]]:
    return [{**STEP, "name": f"s{number}", "resources": one} for number, one in enumerate(resources)]


@pytest.mark.parametrize(
    ("there", "order", "steps", "waits"),
    [
        pytest.param({}, "Graph", steps_of({"cpu": 3}, {"cpu": 3}), (0, 300), id="together too large"),
        pytest.param({}, "Sequence", steps_of({"cpu": 3}, {"cpu": 3}), (0, 0), id="one after the other"),
        pytest.param(
            {"accessMode": "ReadWriteMany"},
            "Graph",
            steps_of({"cpu": 3}, {"cpu": 3}),
            (0, 0),
            id="on several",
        ),
        pytest.param({}, "Sequence", steps_of({"cpu": 1}, {"gpu": "1x A100"}), (0, 0), id="a GPU later"),
        pytest.param({}, "Sequence", steps_of({"cpu": 1}, {"gpu": "1x H100"}), (0, 300), id="none there"),
    ],
)
def test_steps_that_share_a_volume_wait_for_a_node_that_has_room_for_all(
    there: Any, order: str, steps: list[dict[str, Any]], waits: tuple[int, int]
) -> None:
    runs = [completed("a", "east", 10), running("b")]
    shared = {"storage": {"persistentVolume": "1Gi"}}
    expected = []
    for config in ({}, shared):
        known = Known(*runs, there=(observed(largest="4", **there),))
        known.cluster.cache_workflow(workflow("wf", version=2, steps=steps, order=order, config=config))
        expected.append(known.new().wait)

    assert tuple(expected) == waits


def test_where_others_use_the_nodes_the_wait_is_unknown_and_a_strategy_goes_elsewhere() -> None:
    full = observed(largest="0")
    assert Known(there=(full,)).new().wait is None

    known = Known(there=(full, WEST), environmentStrategy="start")
    assert known.new().currency == "USD"


# --- live ones ---------------------------------------------------------------------------------------


def test_a_running_one_has_a_duration_and_a_cost_and_does_not_wait() -> None:
    run = running("b")
    known = Known(completed("a", "east", 10), run, maxRunning=1)

    assert known.live(run) == Expected(600, cost=0.333333, currency="USD")


def test_one_in_line_has_its_place_and_the_time_of_its_turn() -> None:
    first, second = queued("c"), queued("d", created=DAY + "14:45:00Z")
    known = Known(completed("a", "east", 10), running("b"), first, second, maxRunning=1)

    assert [(one.place, one.wait) for run in (first, second) if (one := known.live(run))] == [
        (1, 300),
        (2, 900),
    ]


def test_one_that_a_strategy_placed_waits_as_long_as_was_expected_then() -> None:
    placed = [
        {
            "type": conditions.PLACED,
            "status": "True",
            "lastTransitionTime": DAY + "15:59:00Z",
        }
    ]
    there = [
        {"environment": "west", "wait": 10, "passedOver": "too expensive"},
        {"environment": "east", "wait": 90},
    ]
    run = execution("b", of="wf", phase="Pending", environment="east", conditions=placed, placement=there)

    expected = Known(completed("a", "east", 10), run).live(run)

    assert expected is not None
    assert (expected.wait, expected.place) == (30, None)


def test_one_that_waits_for_room_has_no_known_wait() -> None:
    run = execution("b", of="wf", phase="Pending", environment="east")

    expected = Known(completed("a", "east", 10), run).live(run)

    assert expected is not None
    assert expected.wait is None


def test_one_that_was_not_placed_yet_is_expected_like_a_new_one() -> None:
    run = execution("b", of="wf", spec={"environment": "west"})

    assert Known(completed("a", "east", 10), run).live(run) == Expected(300, cost=0.833333, currency="USD")


def test_one_that_the_operator_has_not_looked_at_waits_its_turn_too() -> None:
    first, second = execution("b", of="wf"), execution("c", of="wf", created=DAY + "14:45:00Z")
    known = Known(completed("a", "east", 10), running("r"), first, second, maxRunning=1)

    waits = [expected.wait for run in (first, second) if (expected := known.live(run))]
    # Its own place is the last: it is expected like one that is created now.
    assert waits == [900, 900]
    assert known.new().wait == 1500


@pytest.mark.parametrize(
    "run",
    [completed("b", "east", 5), execution("b", of="wf", phase="Running", spec={"cancel": True})],
    ids=["ended", "cancelled"],
)
def test_of_one_that_ends_nothing_is_expected(run: ExecutionView) -> None:
    assert Known(run).live(run) is None


def test_of_a_workflow_that_cannot_be_read_nothing_is_expected() -> None:
    run = running("b")
    known = Known(run)
    known.cluster.cache_workflow(workflow("wf", version=9, steps="none"))

    assert known.live(run) is None
