"""Runs whose steps share a volume of one node: where they may run, and what no node could hold."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.building.run import NewJob
from nightcrawler_crds.planning.nodes import NodeRoom, Nodes
from nightcrawler_crds.planning.onenode import node_terms
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.planning.together import moments
from nightcrawler_crds.v1alpha1 import EnvironmentSpec, Step, conditions
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.limits import Limits
from tests.support.plans import planned, status_of, step_of
from tests.support.snapshots import (
    SnapshotMaker,
    a_job,
    a_new_execution,
    a_pod,
    a_snapshot,
    a_spec,
    a_step,
    an_environment,
    job_name,
)
from tests.support.volumes import a_claim

Json = dict[str, Any]
STORAGE: Final[Json] = {"storage": {"persistentVolume": "500 GB"}}
A100: Final = "NVIDIA-A100-SXM4-80GB"


def a_node(name: str, *, product: str = "", labels: Json | None = None, **amounts: str) -> NodeRoom:
    marks = {"kubernetes.io/hostname": name, **(labels or {})}
    there = {"cpu": "8", "memory": "64Gi"} | amounts
    if product:
        marks["nvidia.com/gpu.product"] = product
        there["nvidia.com/gpu"] = "8"
    return NodeRoom(name, marks, {key: parse_quantity(value) for key, value in there.items()})


def there(*rooms: NodeRoom) -> Nodes:
    products = frozenset(p for room in rooms if (p := room.labels.get("nvidia.com/gpu.product")))
    return Nodes(gpu_products=products, rooms=rooms)


def cpu(name: str, cores: int, *after: str) -> Step:
    return a_step(name, resources={"cpu": cores}, dependsOn=list(after))


def accepted(nodes: Nodes, *steps: Step, environment: Json | None = None, **workflow: Any) -> Json:
    """The condition Accepted of a new run."""
    spec = {"default": True, "nodes": "Fixed", **(environment or {})}
    made = a_new_execution(*steps, **{"config": STORAGE, **workflow})
    run = made.with_fields(environments=(an_environment("lab", **spec),), nodes=nodes)
    found: list[Json] = [c for c in status_of(planned(run))["conditions"] if c["type"] == conditions.ACCEPTED]
    return found[0]


WHAT: Final = "no node of the environment 'lab' could hold the steps, which share a volume on it"


def test_steps_that_may_run_at_the_same_time_are_counted_together() -> None:
    steps = cpu("a", 1), cpu("b", 2, "a"), cpu("c", 3, "a"), cpu("d", 4, "b", "c"), cpu("e", 5)
    revision = Revision("rev", a_spec(*steps, order="Graph"))
    found = moments(revision, EnvironmentSpec(), Limits(), ())
    assert [(moment.steps, moment.asked) for moment in found] == [
        (("a", "e"), {"cpu": 6}),
        (("b", "c"), {"cpu": 5}),
        (("d",), {"cpu": 4}),
    ]


def test_parallel_steps_are_refused_as_a_sum() -> None:
    steps = cpu("a", 5), cpu("b", 4), cpu("c", 1, "a", "b")
    refused = accepted(there(a_node("n1"), a_node("n2")), *steps, order="Graph")
    assert refused["reason"] == conditions.NO_NODE_LARGE_ENOUGH
    assert refused["message"] == (
        f"{WHAT}: 'a' and 'b' ask together for 9 CPU, and the largest node, n1, has 8 CPU"
    )
    assert accepted(there(a_node("n1", cpu="9")), *steps, order="Graph")["status"] == "True"
    assert accepted(there(a_node("n1")), *steps[:2])["status"] == "True", "one after the other"


def test_where_volumes_can_be_on_several_nodes_each_step_counts_alone() -> None:
    steps = cpu("a", 5), cpu("b", 4)
    shared = {"accessMode": "ReadWriteMany"}
    nodes = there(a_node("n1"))
    assert accepted(nodes, *steps, order="Graph", environment=shared)["status"] == "True"


def test_what_fits_on_different_nodes_only_is_refused() -> None:
    nodes = there(a_node("cores", cpu="64"), a_node("memory", memory="512Gi"))
    steps = a_step("a", resources={"cpu": 32}), a_step("b", resources={"memory": "256Gi"})
    assert accepted(nodes, *steps)["message"] == f"{WHAT}: no single node has all that they ask for"
    assert accepted(nodes, *steps, config={})["status"] == "True"


def test_where_an_autoscaler_may_add_nodes_nothing_is_refused_for_its_size() -> None:
    nodes = there(a_node("n1"))
    big = cpu("a", 500)
    assert accepted(nodes, big, environment={"nodes": "Autoscaled"})["status"] == "True"


@pytest.mark.parametrize("environments", [True, False])
def test_steps_that_ask_for_different_nodes_are_refused(environments: bool) -> None:
    def on(zone: str) -> Json:
        return {"spec": {"nodeSelector": {"zone": zone}}}

    steps = a_step("a", podTemplate=on("z1")), a_step("b", podTemplate=on("z2"))
    run = a_new_execution(*steps, config=STORAGE)
    if environments:
        run = run.with_fields(environments=(an_environment("lab", default=True),))
    status = status_of(planned(run))
    (refused,) = [c for c in status["conditions"] if c["type"] == conditions.ACCEPTED]
    assert (status["phase"], refused["reason"]) == ("Failed", conditions.NO_COMMON_NODE)
    assert refused["message"].startswith(
        "the steps 'a' and 'b' share a volume that is on one node, and ask for nodes whose label zone is "
        "'z1' and 'z2'"
    )


# --- where the first Pod may go ------------------------------------------------------------------------


def terms(nodes: Nodes, *steps: Step, **workflow: Any) -> list[tuple[str, list[str]]]:
    revision = Revision("rev", a_spec(*steps, **workflow))
    found = node_terms(revision, EnvironmentSpec(), Limits(), nodes)
    return [(one["matchExpressions"][0]["key"], one["matchExpressions"][0]["values"]) for one in found]


def test_the_volume_is_kept_from_nodes_that_are_too_small_for_a_later_step() -> None:
    nodes = there(a_node("small"), a_node("large", memory="512Gi"), a_node("larger", memory="1Ti"))
    later = a_step("b", resources={"memory": "256Gi"})
    assert terms(nodes, a_step("a"), later) == [("kubernetes.io/hostname", ["large", "larger"])]


def test_where_nodes_have_types_an_autoscaler_may_add_one_of_a_type_that_fits() -> None:
    label = "node.kubernetes.io/instance-type"
    nodes = there(
        a_node("small", labels={label: "m5.large"}),
        a_node("large", labels={label: "m5.24xlarge"}, memory="512Gi"),
        a_node("own", memory="512Gi"),
    )
    later = a_step("b", resources={"memory": "256Gi"})
    assert terms(nodes, a_step("a"), later) == [
        (label, ["m5.24xlarge"]),
        ("kubernetes.io/hostname", ["own"]),
    ]


@pytest.mark.parametrize(
    ("nodes", "memory"),
    [
        (there(a_node("n1"), a_node("n2")), "1Gi"),
        (there(a_node("n1"), a_node("n2")), "1Ti"),
        (there(), "1Gi"),
    ],
    ids=["all fit", "none fits", "no node is known"],
)
def test_otherwise_nothing_is_said_of_nodes(nodes: Nodes, memory: str) -> None:
    assert terms(nodes, a_step("a"), a_step("b", resources={"memory": memory})) == []


def test_a_step_without_a_gpu_goes_to_a_node_that_has_enough_of_them() -> None:
    nodes = there(a_node("n1"), a_node("g1", product=A100), a_node("g2", product=A100))
    few = NodeRoom("g2", nodes.rooms[2].labels, {**nodes.rooms[2].allocatable, "nvidia.com/gpu": 2.0})
    nodes = Nodes(nodes.gpu_products, rooms=(*nodes.rooms[:2], few))
    assert terms(nodes, a_step("a"), a_step("b", resources={"gpu": 8})) == [
        ("kubernetes.io/hostname", ["g1"])
    ]


def a_run(**fields: Any) -> SnapshotMaker:
    """A run whose second step needs more memory than the node n1 has."""
    steps = a_step("a"), a_step("b", resources={"memory": "256Gi"})
    nodes = there(a_node("n1"), a_node("n2", memory="512Gi"))
    return a_snapshot(*steps, config=STORAGE).with_fields(nodes=nodes, **fields)


def test_once_the_volume_is_there_its_node_is_decided() -> None:
    before = planned(a_run())
    assert before.volume is not None
    assert before.run is not None
    assert len(before.run.node_terms) == 1
    begun = (
        a_run(volume_claim=a_claim("Bound"))
        .recorded("a", "Completed")
        .with_job(a_job("a", ended=("Complete", 5)))
    )
    after = planned(begun, 10)
    assert after.later_jobs + after.first_jobs == (NewJob("b", 1, job_name("b")),)
    assert after.volume is None
    assert after.run is not None
    assert after.run.node_terms == ()


def test_a_step_that_is_larger_than_the_nodes_that_all_may_use_says_so() -> None:
    steps = a_step("a", resources={"cpu": 32}), a_step("b", resources={"gpu": 1})
    nodes = there(a_node("large", cpu="64"), a_node("g1", product=A100))
    pod = a_pod("a").condition("PodScheduled", "False", 0, "Unschedulable", "0/2 nodes are available: …")
    run = a_snapshot(*steps, config=STORAGE).with_fields(nodes=nodes, volume_claim=a_claim()).with_pod(pod)
    waits = step_of(planned(run, 60), "a")
    assert waits["reason"] == conditions.STEP_NO_NODE_LARGE_ENOUGH
    assert waits["message"] == (
        "step 'a' waits for a larger node: it asks for 32 CPU, and the largest node that all steps may use, "
        "g1, has 8 CPU"
    )


# --- the claim -----------------------------------------------------------------------------------------


def test_the_claim_is_created_before_the_first_job_and_only_then() -> None:
    assert planned(a_run()).volume is not None
    assert planned(a_run(volume_claim=a_claim())).volume is None
    unrecorded = a_run().with_job(a_job("a"))
    assert planned(unrecorded).volume is None
    retried = a_run().recorded("a", "Retrying", completionTime="2025-07-10T14:00:00Z")
    assert planned(retried, 10_000).volume is None, "what the first attempt wrote is not in a new one"


def test_a_run_without_storage_has_no_claim() -> None:
    assert planned(a_snapshot("a")).volume is None


def test_a_claim_that_a_quota_refuses_is_waited_for() -> None:
    run = a_run()
    snapshot = run.build()
    name = planned(run).volume
    assert name is not None
    message = "exceeded quota: team, requested: requests.storage=500G, used: 0, limited: 100G"
    refused = a_snapshot(a_step("a"), config=STORAGE).with_refusal("a", message, 60)
    refusal = refused.build().refusals[job_name("a")]
    waits = run.with_fields(refusals={name.claim: refusal}).at(30)
    plan = planned(waits)
    assert snapshot.volume_claim is None
    assert (plan.first_jobs, plan.volume) == ((), None)
    assert step_of(plan, "a")["reason"] == conditions.STEP_QUOTA
    assert step_of(plan, "a")["message"].startswith(
        "step 'a' waits, the volume of its run is refused: exceeded"
    )
    assert planned(waits, 61).volume == name


def test_no_step_begins_before_there_is_the_gpu_that_another_step_needs() -> None:
    steps = a_step("a"), a_step("b", resources={"gpu": "1x A100"})
    run = a_snapshot(*steps, config=STORAGE).with_fields(nodes=there(a_node("n1", product="Tesla-T4")))
    plan = planned(run)
    assert (plan.first_jobs, plan.volume) == ((), None)
    assert step_of(plan, "a")["reason"] == conditions.STEP_NO_SUCH_GPU
    assert "the GPU that the step 'b' asks for" in step_of(plan, "a")["message"]
    bound = run.with_fields(nodes=there(a_node("n1")), volume_claim=a_claim("Bound"))
    assert planned(bound).first_jobs, "where the volume is, is decided"


def test_a_pod_that_has_a_node_waits_for_no_volume() -> None:
    run = a_run(volume_claim=a_claim()).recorded("a", "Pending").with_pod(a_pod("a").on_node()).at(30)
    assert planned(run).lookups == ()
