"""The status of an Environment: what it has, what is free, and whether it is ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.nativeviews import Taint
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.v1alpha1 import EnvironmentStatus
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.decisions.environment import decide
from nightcrawler_operator.plan import Done, Waiting
from nightcrawler_operator.snapshot import EnvironmentSnapshot
from tests.support.merging import merged_status
from tests.support.snapshots import an_environment, at, wire

Json = dict[str, Any]
A100: Final = "NVIDIA-A100-SXM4-80GB"
L4: Final = "NVIDIA-L4"
TAINT: Final = Taint("dedicated", "gpu", "NoSchedule")


def a_node(
    name: str,
    *,
    product: str = "",
    open: bool = True,  # noqa: A002 - as in NodeRoom
    taints: tuple[Taint, ...] = (),
    labels: Json | None = None,
    devices: Json | None = None,
    **amounts: str,
) -> NodeRoom:
    """A node of the pool `lab` with 8 cores and 64Gi; `gpus` are of the resource nvidia.com/gpu."""
    there = {"cpu": "8", "memory": "64Gi", "pods": "110", "hugepages-2Mi": "0"} | (devices or {}) | amounts
    if "gpus" in there:
        there["nvidia.com/gpu"] = there.pop("gpus")
    marks = {"pool": "lab"} | ({"nvidia.com/gpu.product": product} if product else {}) | (labels or {})
    return NodeRoom(name, marks, {key: parse_quantity(value) for key, value in there.items()}, taints, open)


def snapshot(
    *nodes: NodeRoom, used: Json | None = None, spec: Json | None = None, **more: Any
) -> EnvironmentSnapshot:
    """An Environment of the pool `lab`; `used` is what Pods take, by node."""
    free = {
        node.name: {
            resource: amount - (used or {}).get(node.name, {}).get(resource, 0.0)
            for resource, amount in node.allocatable.items()
        }
        for node in nodes
        if node.open
    }
    return EnvironmentSnapshot(
        now=at(0),
        environment=an_environment("lab", nodeSelector={"pool": "lab"}, **(spec or {})),
        nodes=Nodes(rooms=nodes),
        **{"free": free, "running": 0, "waiting": 0, **more},
    )


def status(*nodes: NodeRoom, **given: Any) -> Json:
    """What is written first."""
    return decide(snapshot(*nodes, **given)).status


def ready(*nodes: NodeRoom, **given: Any) -> tuple[str, str, str]:
    (condition,) = status(*nodes, **given)["conditions"]
    assert condition["type"] == "Ready"
    return condition["status"], condition["reason"], condition["message"]


# --- what there is, and what is free -----------------------------------------------------------------


def test_capacity_is_of_all_nodes_and_free_is_what_no_pod_on_the_ready_ones_requests() -> None:
    nodes = (
        a_node("a", cpu="31900m", memory="263856584Ki"),
        a_node("b", gpus="4", product=A100),
        a_node("drained", open=False),
        replace(a_node("elsewhere"), labels={"pool": "other"}),
        a_node("tainted", taints=(TAINT,)),
    )
    written = status(*nodes, used={"a": {"cpu": 1.5, "memory": 2.0**30}, "b": {"nvidia.com/gpu": 3.0}})
    assert (written["nodes"], written["readyNodes"]) == (3, 2)
    assert written["capacity"] == {"cpu": "47900m", "memory": "388744Mi", "nvidia.com/gpu": "4"}
    assert written["free"] == {"cpu": "38400m", "memory": "322184Mi", "nvidia.com/gpu": "1"}
    assert written["largestFreeNode"] == {"name": "a", "free": {"cpu": "30400m", "memory": "256648Mi"}}


def test_a_node_that_takes_no_further_pod_has_nothing_free() -> None:
    written = status(a_node("full"), a_node("other"), used={"full": {"pods": 110.0}, "other": {"cpu": 7.0}})
    assert written["free"] == {"cpu": "1", "memory": "64Gi"}
    assert written["largestFreeNode"]["name"] == "other"


def test_what_is_taken_twice_is_not_less_than_nothing() -> None:
    written = status(a_node("a"), a_node("b"), used={"a": {"cpu": 9.0}})
    assert written["free"]["cpu"] == "8"


def test_sums_of_parts_of_cores_are_whole_again() -> None:
    node = a_node("a", gpus="8", product=L4)
    used = sum([0.1] * 10), sum([0.7] * 10)
    written = status(node, used={"a": {"cpu": used[0], "nvidia.com/gpu": used[1]}})
    assert (written["free"]["cpu"], written["free"]["nvidia.com/gpu"]) == ("7", "1")


def test_an_environment_takes_what_its_own_template_allows() -> None:
    template = {
        "spec": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "dedicated", "value": "gpu"}]}
    }
    nodes = (a_node("a", labels={"disk": "ssd"}, taints=(TAINT,)), a_node("b"))
    assert status(*nodes, spec={"podTemplate": template})["nodes"] == 1


def gpu(resource: str, model: str | None, capacity: int, free: int, largest: int) -> Json:
    named = {"model": model} if model else {}
    return {"resource": resource, **named, "capacity": capacity, "free": free, "largestFree": largest}


@pytest.mark.parametrize(
    ("nodes", "models", "used", "gpus"),
    [
        pytest.param((a_node("a"),), [], {}, [], id="none"),
        pytest.param(
            (
                a_node("a", gpus="8", product=A100),
                a_node("b", gpus="8", product=A100),
                a_node("c", gpus="2", product=L4),
            ),
            [],
            {"a": {"nvidia.com/gpu": 5.0}},
            [gpu("nvidia.com/gpu", A100, 16, 11, 8), gpu("nvidia.com/gpu", L4, 2, 2, 2)],
            id="by the label of the nodes",
        ),
        pytest.param(
            (a_node("a", gpus="1"),), [], {}, [gpu("nvidia.com/gpu", None, 1, 1, 1)], id="of an unknown model"
        ),
        pytest.param(
            (a_node("a", gpus="7", product=A100, devices={"nvidia.com/mig-1g.5gb": "7"}),),
            [],
            {"a": {"nvidia.com/mig-1g.5gb": 2.0}},
            [
                gpu("nvidia.com/gpu", A100, 7, 7, 7),
                gpu("nvidia.com/mig-1g.5gb", f"{A100} MIG 1g.5gb", 7, 5, 5),
            ],
            id="slices",
        ),
        pytest.param(
            (a_node("a", devices={"amd.com/gpu": "4"}), a_node("b", labels={"gpu": "old"}, gpus="2")),
            [
                {"model": "AMD Instinct MI300X", "resourceName": "amd.com/gpu"},
                {"model": "Tesla K80", "nodeSelector": {"gpu": "old"}},
            ],
            {"a": {"amd.com/gpu": 4.0}},
            [gpu("nvidia.com/gpu", "Tesla K80", 2, 2, 2), gpu("amd.com/gpu", "AMD Instinct MI300X", 4, 0, 0)],
            id="as the environment declares them",
        ),
        pytest.param(
            (a_node("a", gpus="8", product=A100, open=False),),
            [],
            {},
            [gpu("nvidia.com/gpu", A100, 8, 0, 0)],
            id="on a node that is not ready",
        ),
    ],
)
def test_gpus_are_counted_by_model(
    nodes: tuple[NodeRoom, ...], models: list[Json], used: Json, gpus: list[Json]
) -> None:
    found = status(*nodes, used=used, spec={"gpuModels": models})["gpus"]
    assert sorted(found, key=lambda one: one["resource"]) == sorted(gpus, key=lambda one: one["resource"])


# --- whether it is ready -----------------------------------------------------------------------------

PAST, COMING = (
    {"start": wire(begin), "end": wire(end), "description": "new disks"}
    for begin, end in ((-60, 60), (60, 120))
)


@pytest.mark.parametrize(
    ("spec", "nodes", "expected"),
    [
        ({}, (a_node("a"), a_node("b")), ("True", "NodesReady", "steps can start here: 2 nodes ready")),
        (
            {},
            (a_node("a"), a_node("b", open=False)),
            ("True", "NodesReady", "steps can start here: 1 of 2 nodes ready"),
        ),
        (
            {"nodes": "Fixed"},
            (a_node("a", open=False),),
            ("False", "NoReadyNode", "its only node is cordoned or not ready"),
        ),
        (
            {},
            (a_node("a", taints=(TAINT,)),),
            (
                "Unknown",
                "NoReadyNode",
                "no node has its labels, or taints that it tolerates; an autoscaler may add one",
            ),
        ),
        (
            {"state": "Cordoned"},
            (a_node("a"),),
            ("False", "Cordoned", "no step is started here: it is cordoned"),
        ),
        (
            {"maintenance": [COMING, PAST]},
            (),
            (
                "False",
                "UnderMaintenance",
                f"no step is started here: it is under maintenance until {wire(60)} (new disks)",
            ),
        ),
        (
            {"maintenance": [COMING]},
            (a_node("a"),),
            ("True", "NodesReady", "steps can start here: 1 node ready"),
        ),
        (
            {"podTemplate": {"spec": {"containers": [{"name": "step", "image": 5}]}}},
            (a_node("a"),),
            ("False", "InvalidEnvironment", "nothing can run here: the environment 'lab' has a bad"),
        ),
        (
            {"speed": -1, "state": "Cordoned"},
            (a_node("a"),),
            (
                "False",
                "InvalidEnvironment",
                "nothing can run here: spec.speed: Input should be greater than 0",
            ),
        ),
    ],
)
def test_whether_steps_can_start_is_said_in_a_sentence(
    spec: Json, nodes: tuple[NodeRoom, ...], expected: tuple[str, str, str]
) -> None:
    found = ready(*nodes, spec=spec)
    assert found[:2] == expected[:2]
    assert found[2].startswith(expected[2])


def test_why_it_is_not_known_what_is_free_is_said_and_looked_at_again() -> None:
    plan = decide(snapshot(a_node("a", gpus="1"), free=None, unknown="pods is forbidden"))
    assert "free" not in plan.status
    assert plan.status["gpus"] == [{"resource": "nvidia.com/gpu", "capacity": 1}]
    assert plan.status["conditions"][0]["message"] == (
        "steps can start here: 1 node ready; what is free is not known: pods is forbidden"
    )
    assert plan.outcome == Waiting(at(10))


@pytest.mark.parametrize(
    ("maintenance", "outcome"),
    [([], Done()), ([COMING], Waiting(at(60))), ([COMING, PAST], Waiting(at(60)))],
)
def test_it_is_looked_at_again_when_a_maintenance_begins_or_ends(
    maintenance: list[Json], outcome: Done | Waiting
) -> None:
    assert decide(snapshot(a_node("a"), spec={"maintenance": maintenance})).outcome == outcome


# --- what is written ---------------------------------------------------------------------------------


def after(view: EnvironmentView, patch: Json) -> EnvironmentView:
    """The Environment once the patch is written and read again; the schema takes it."""
    written = merged_status(view, patch)
    EnvironmentStatus.model_validate(msgspec.to_builtins(written, str_keys=True)["status"], by_name=True)
    return written


def test_only_what_has_changed_is_written() -> None:
    first = snapshot(a_node("a"), a_node("b"))
    known = after(first.environment, decide(first).status)
    again = replace(first, environment=known, now=at(100))
    assert decide(again).status == {}

    one_more = replace(again, running=1, free={**(first.free or {}), "b": {"cpu": 7.0, "memory": 2.0**36}})
    assert decide(one_more).status == {"free": {"cpu": "15"}, "running": 1}


def test_the_time_of_the_condition_changes_only_with_its_status() -> None:
    first = snapshot(a_node("a"), a_node("b"))
    known = after(first.environment, decide(first).status)
    one_gone = replace(first, environment=known, now=at(100), nodes=Nodes(rooms=(a_node("a"),)))
    (condition,) = decide(one_gone).status["conditions"]
    assert condition["lastTransitionTime"] == wire(0)
    none_left = replace(one_gone, nodes=Nodes())
    (condition,) = decide(none_left).status["conditions"]
    assert condition["lastTransitionTime"] == wire(100)


def test_a_count_that_nobody_knows_any_more_is_removed() -> None:
    first = snapshot(a_node("a"), running=2, waiting=3)
    known = after(first.environment, decide(first).status)
    unknown = decide(replace(first, environment=known, running=None, waiting=None))
    assert unknown.status == {"running": None, "waiting": None}


nodes_of_all_kinds = st.builds(
    a_node,
    st.sampled_from("abcdefgh"),
    product=st.sampled_from(["", A100, L4]),
    open=st.booleans(),
    labels=st.sampled_from([{}, {"pool": "other"}, {"gpu": "old"}]),
    cpu=st.sampled_from(["0", "1900m", "64"]),
    memory=st.sampled_from(["0", "263856584Ki", "64Gi"]),
    gpus=st.sampled_from(["0", "1", "8"]),
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["Open", "Cordoned"]),
        "nodes": st.sampled_from(["Fixed", "Autoscaled"]),
        "gpuModels": st.just([{"model": "Tesla K80", "nodeSelector": {"gpu": "old"}}]),
        "maintenance": st.just([PAST]),
    },
)
amounts = st.fixed_dictionaries(
    {
        "cpu": st.floats(0, 70),
        "memory": st.floats(0, 2e11),
        "nvidia.com/gpu": st.integers(0, 9),
        "pods": st.integers(0, 120),
    }
)


@given(
    st.lists(nodes_of_all_kinds, max_size=8, unique_by=lambda node: node.name),
    st.dictionaries(st.sampled_from("abcdefgh"), amounts),
    specs,
)
def test_free_is_never_more_than_capacity_and_nothing_is_written_twice(
    nodes: list[NodeRoom], used: Json, spec: Json
) -> None:
    given_ = snapshot(*nodes, used=used, spec=spec)
    known = after(given_.environment, decide(given_).status)
    recorded = known.status
    assert recorded.capacity
    assert recorded.free
    assert recorded.free.keys() == recorded.capacity.keys()
    for resource, amount in recorded.free.items():
        assert 0 <= parse_quantity(amount) <= parse_quantity(recorded.capacity[resource])
    assert recorded.gpus is not None
    for what, counted in (("capacity", recorded.capacity), ("free", recorded.free)):
        total = sum(getattr(one, what) for one in recorded.gpus)
        assert total == int(counted.get("nvidia.com/gpu", "0"))
    for one in recorded.gpus:
        assert one.free is not None
        assert one.largest_free is not None
        assert one.largest_free <= one.free <= one.capacity
    if recorded.largest_free_node is not None:
        assert parse_quantity(recorded.largest_free_node.free["cpu"]) <= parse_quantity(recorded.free["cpu"])
    assert decide(replace(given_, environment=known)).status == {}
