"""What steps used: samples over time, percentages, and the figure of a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.nativeviews import Taint
from nightcrawler_crds.kube.podmetrics import PodMetricsView, Sample, sample_of
from nightcrawler_crds.kube.views import ResourceUsageView, UsageOfView, UsageView
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_operator.cluster.usage import Usage
from nightcrawler_operator.snapshot import Figure, Measured
from tests.support.plans import planned, status_of, step_of
from tests.support.snapshots import NODE, SnapshotMaker, a_pod, a_snapshot, a_step, at, wire

GIB: Final = 2.0**30
POD: Final = ("team-a", "run-train-x")
UID: Final = a_pod().view.metadata.uid


def metrics(window: str = "15s", **usage: str) -> PodMetricsView:
    """What metrics-server answers of a Pod whose step has a side-car."""
    amounts = {"cpu": "250m", "memory": "1Gi"} | usage
    body = {
        "metadata": {"name": POD[1], "namespace": POD[0], "creationTimestamp": wire(0)},
        "timestamp": wire(60),
        "window": window,
        "containers": [
            {"name": "proxy", "usage": {"cpu": "3", "memory": "9Gi"}},
            {"name": "step", "usage": amounts},
        ],
    }
    return msgspec.convert(body, PodMetricsView, strict=False)


@pytest.mark.parametrize(
    ("window", "seconds"),
    [
        ("15s", 15),
        ("15.128s", 15.128),
        ("1m0s", 60),
        ("1h2m3s", 3723),
        ("500ms", 0.5),
        ("", 15),
        ("soon", 15),
    ],
)
def test_a_sample_has_its_window_in_seconds(window: str, seconds: float) -> None:
    sample = sample_of(metrics(window))
    assert sample is not None
    assert sample.window == pytest.approx(seconds)


def test_a_sample_is_that_of_the_steps_own_container() -> None:
    assert sample_of(metrics(cpu="500000u", memory="512Ki")) == Sample(at(60), 15, 0.5, 512 * 1024.0)


def test_a_container_that_is_not_measured_yet_gives_no_sample() -> None:
    assert sample_of(metrics(cpu="")) is None
    assert sample_of(msgspec.structs.replace(metrics(), containers=())) is None


# --- over time -----------------------------------------------------------------------------------------


def tallied(*values: tuple[float, float]) -> Figure | None:
    """Values of CPU, each with when it was measured."""
    usage = Usage()
    for value, when in values:
        usage.add(POD, Sample(at(when), 15, value, 0))
    found = usage.of(POD)
    return found.cpu if found else None


def test_an_average_is_weighed_by_time() -> None:
    assert tallied((1, 15), (2, 30), (4, 60)) == Figure((1 * 15 + 2 * 15 + 4 * 30) / 60, 4)


def test_a_value_that_is_reported_again_counts_once() -> None:
    assert tallied((1, 15), (1, 15), (3, 30), (3, 30), (3, 20)) == Figure(2, 3)


def test_after_a_long_gap_a_value_counts_for_its_own_window() -> None:
    assert tallied((1, 15), (3, 600)) == Figure(2, 3)


def test_what_was_never_measured_is_unknown() -> None:
    usage = Usage()
    assert usage.of(POD) is None
    usage.add_gpu(POD, 50, at(1), 15)
    assert usage.of(POD) == Measured(None, None, Figure(50, 50))


def test_pods_that_are_gone_are_forgotten() -> None:
    usage = Usage()
    usage.add(POD, Sample(at(1), 15, 1, 1))
    usage.keep_only([POD])
    assert len(usage) == 1
    usage.keep_only([])
    assert (len(usage), usage.of(POD)) == (0, None)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(1, 200)), min_size=1, max_size=30))
def test_an_average_lies_between_the_lowest_and_the_highest_value(steps: list[tuple[float, int]]) -> None:
    usage, moment = Usage(), at(0)
    for value, seconds in steps:
        moment += timedelta(seconds=seconds)
        usage.add(POD, Sample(moment, 15, value, value))
    found = usage.of(POD)
    assert found is not None
    assert found.cpu is not None
    values = [value for value, _ in steps]
    assert min(values) <= found.cpu.average * (1 + 1e-9) + 1e-9
    assert found.cpu.average <= max(values) * (1 + 1e-9) + 1e-9
    assert found.cpu.peak == max(values)


# --- recorded with the end of a step ---------------------------------------------------------------------


NODES: Final = Nodes(
    frozenset(), frozenset({NODE}), (NodeRoom(NODE, {}, {"cpu": 8.0, "memory": 16 * GIB}, (Taint(),)),)
)
MEASURED: Final = Measured(Figure(0.25, 0.5), Figure(0.5 * GIB, 1.0 * GIB), None)


def a_run(step: dict[str, Any] | None = None, measured: Measured | None = MEASURED) -> SnapshotMaker:
    asked = {"cpu": "500m", "memory": "1Gi"} if step is None else step
    run = a_snapshot(a_step("train", resources=asked), a_step("report")).recorded("train", "Running").at(60)
    usage = {} if measured is None else {UID: measured}
    return run.with_fields(usage=usage, nodes=NODES)


def used(run: SnapshotMaker) -> Any:
    return step_of(planned(run.with_pod(a_pod().exited(0, end=55)))).get("usage")


def test_a_step_is_recorded_with_what_it_used_of_what_it_asked_for() -> None:
    assert used(a_run()) == {"cpu": {"average": 50, "peak": 100}, "memory": {"average": 50, "peak": 100}}


def test_what_was_not_asked_for_is_of_the_node() -> None:
    assert used(a_run({})) == {"cpu": {"average": 3, "peak": 6}, "memory": {"average": 3, "peak": 6}}
    for asked in ({"memory": "1Gi"}, {"memory": "1Gi", "gpu": 1}):
        assert used(a_run(asked)) == {
            "cpu": {"average": 3, "peak": 6},
            "memory": {"average": 50, "peak": 100},
        }


def test_where_nothing_limits_it_may_be_more_than_all_of_it() -> None:
    assert used(a_run({"cpu": "100m", "memory": "1Gi"}))["cpu"] == {"average": 250, "peak": 500}


def test_gpus_are_busy_in_percent() -> None:
    busy = Measured(None, None, Figure(91.6, 99.5))
    assert used(a_run({"gpu": 8}, busy)) == {"gpu": {"average": 92, "peak": 100}}


@pytest.mark.parametrize("measured", [None, Measured()])
def test_what_was_not_measured_is_absent_and_never_0(measured: Measured | None) -> None:
    assert used(a_run(measured=measured)) is None


def test_a_step_that_asked_for_nothing_on_a_node_that_is_gone_has_no_percentage() -> None:
    assert used(a_run({}).with_fields(nodes=Nodes())) is None


def test_a_failed_attempt_is_recorded_with_its_usage_and_the_next_one_without() -> None:
    retried = a_snapshot(a_step("train", resources={"cpu": 1}, retries=1, retryDelay=0)).recorded(
        "train", "Running"
    )
    failed = retried.with_fields(usage={UID: MEASURED}).with_pod(a_pod().exited(1, end=55)).at(60)
    assert step_of(planned(failed))["usage"] == {"cpu": {"average": 25, "peak": 50}}
    usage = {"cpu": {"average": 25, "peak": 50}}
    waiting = failed.recorded("train", "Retrying", completionTime=wire(55), reason="Error", usage=usage).at(
        70
    )
    assert step_of(planned(waiting))["usage"] is None


def test_a_step_that_is_ended_with_its_run_has_its_usage_too() -> None:
    steps = a_step("train", resources={"cpu": 1}), a_step("other")
    run = a_snapshot(*steps, order="Graph").recorded("train", "Running", startTime=wire(0))
    run = run.recorded("other", "Running", startTime=wire(0)).with_fields(usage={UID: MEASURED})
    ended = run.with_pod(a_pod().running()).with_pod(a_pod("other").exited(1)).at(60)
    status = status_of(planned(ended))
    assert status["phase"] == "Failed"
    assert status["steps"]["train"]["usage"] == {"cpu": {"average": 25, "peak": 50}}
    assert status["resourceUsage"] == {"cpu": 25}


def test_a_run_weighs_its_steps_by_time_and_request() -> None:
    first: dict[str, Any] = {"phase": "Completed", "startTime": wire(0), "completionTime": wire(100)}
    steps = a_step("train", resources={"cpu": 1}), a_step("report", resources={"cpu": 3})
    recorded = a_snapshot(*steps).recorded("train", usage={"cpu": {"average": 20, "peak": 30}}, **first)
    pod = a_pod("report").exited(0, end=150, started=100)
    run = recorded.recorded("report", "Running", startTime=wire(100)).with_pod(pod).at(160)
    usage = {pod.view.metadata.uid: Measured(cpu=Figure(1.5, 3))}
    status = status_of(planned(run.with_fields(usage=usage)))
    assert status["phase"] == "Completed"
    # 20 % of one core for 100 s, and 50 % of three for 50 s.
    assert status["resourceUsage"] == {"cpu": round((20 * 100 * 1 + 50 * 50 * 3) / (100 * 1 + 50 * 3))}


def test_a_run_of_which_nothing_was_measured_has_no_figure() -> None:
    run = a_snapshot("train").recorded("train", "Running").with_pod(a_pod().exited(0)).at(60)
    assert "resourceUsage" not in status_of(planned(run))


def test_usage_is_read_back_as_it_was_written() -> None:
    view = UsageView(UsageOfView(48, 99), None, UsageOfView(0, 1))
    assert msgspec.convert(msgspec.to_builtins(view), UsageView) == view
    assert ResourceUsageView(cpu=1).memory is None
