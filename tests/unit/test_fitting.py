"""Whether any node of an Environment with fixed nodes could hold each step of a run."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.kube.nativeviews import Taint
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.decisions.execution import decide
from tests.support.snapshots import a_new_execution, a_step, an_environment

Json = dict[str, Any]
A100: Final = "NVIDIA-A100-SXM4-80GB"


def a_node(name: str, *, taints: tuple[Taint, ...] = (), product: str = "", **amounts: str) -> NodeRoom:
    labels = {"pool": "lab"} | ({"nvidia.com/gpu.product": product} if product else {})
    there = {"cpu": "8", "memory": "64Gi", "ephemeral-storage": "1Ti"} | amounts
    if product:
        there["nvidia.com/gpu"] = "2"
    return NodeRoom(name, labels, {key: parse_quantity(value) for key, value in there.items()}, taints)


NODES: Final = (a_node("small"), a_node("large", cpu="31900m", memory="128Gi", product=A100))


def verdict(step: Json, *nodes: NodeRoom, template: Json | None = None, **environment: Any) -> str | None:
    """The message of the refusal; None if it is admitted."""
    there = nodes or NODES
    products = frozenset(p for n in there if (p := n.labels.get("nvidia.com/gpu.product")))
    spec = {"default": True, "nodes": "Fixed", "nodeSelector": {"pool": "lab"}, **environment}
    execution = a_new_execution(a_step(resources=step, podTemplate=template or {})).with_fields(
        environments=(an_environment("lab", **spec),), nodes=Nodes(gpu_products=products, rooms=there)
    )
    status = decide(execution.build()).status
    assert status is not None
    (accepted,) = [c for c in status["conditions"] if c["type"] == conditions.ACCEPTED]
    if accepted["status"] == "True":
        return None
    assert (status["phase"], accepted["reason"]) == ("Failed", conditions.NO_NODE_LARGE_ENOUGH)
    return str(status["message"])


WHAT: Final = "no node of the environment 'lab' could hold the step 'train'"


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({}, None),
        ({"cpu": "31900m", "memory": "128Gi", "gpu": 2}, None),
        ({"cpu": 32}, f"{WHAT}: it asks for 32 CPU, and the largest node, large, has 31900m CPU"),
        (
            {"memory": "256 GB"},
            f"{WHAT}: it asks for 256G of memory, and the largest node, large, has 128Gi of memory",
        ),
        (
            {"gpu": "4x A100"},
            f"{WHAT}: it asks for 4 nvidia.com/gpu, and the largest node, large, has 2 nvidia.com/gpu",
        ),
        ({"gpu": "1x H100"}, f"{WHAT}: no node has the labels and GPUs that it asks for"),
        (
            {"ephemeralStorage": "2 TB"},
            (
                f"{WHAT}: it asks for 2T of ephemeral-storage, and the largest node, small, has 1Ti of"
                " ephemeral-storage"
            ),
        ),
    ],
)
def test_a_step_that_no_node_could_hold_is_refused_at_once(step: Json, why: str | None) -> None:
    assert verdict(step) == why


def test_where_each_amount_fits_and_no_node_has_all_the_refusal_says_so() -> None:
    nodes = (a_node("cores", cpu="64"), a_node("memory", memory="512Gi"))
    message = verdict({"cpu": 32, "memory": "256Gi"}, *nodes)
    assert message is not None
    assert message == (
        f"{WHAT}: it asks for 32 CPU, 256Gi of memory together, and no single node has all of that"
    )


def test_nodes_that_the_steps_own_selector_or_taints_exclude_do_not_count() -> None:
    taint = Taint("dedicated", "gpu", "NoSchedule")
    tainted = a_node("tainted", cpu="64", taints=(taint,))
    assert verdict({"cpu": 32}, tainted) is not None
    assert verdict({"cpu": 32}, tainted, tolerations=[{"key": "dedicated", "operator": "Exists"}]) is None
    assert verdict({"cpu": 32}, tainted, tolerations=[{"key": "dedicated", "value": "gpu"}]) is None
    assert verdict({"cpu": 32}, tainted, tolerations=[{"key": "dedicated", "value": "cpu"}]) is not None
    own = {"spec": {"nodeSelector": {"disk": "ssd"}}}
    assert verdict({}, template=own) == f"{WHAT}: no node has the labels and GPUs that it asks for"
    # What the state of a node adds to it comes and goes.
    drained = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    assert verdict({"cpu": 8}, a_node("drained", taints=(drained,))) is None


def test_where_an_autoscaler_may_add_nodes_the_pod_waits() -> None:
    assert verdict({"cpu": 320}, nodes="Autoscaled") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8", 8),
        ("31900m", 31.9),
        ("64Gi", 64 * 2**30),
        ("263856584Ki", 263856584 * 1024),
        ("1e3", 1000),
        ("2T", 2e12),
        ("1.5G", 1.5e9),
        ("", 0),
        ("many", 0),
    ],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str, number: float) -> None:
    assert parse_quantity(text) == pytest.approx(number)
