"""Why a Pod has not started where that is for its run's volume."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.kube.nativeviews import EventView, VolumeClaimView
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.words import parse_memory
from nightcrawler_operator.decisions.attempt_state import Blame, Failed, Waits
from nightcrawler_operator.decisions.pending import Pending
from nightcrawler_operator.decisions.waiting import waiting
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import LookForEvents, LookForVolumeClaim
from nightcrawler_operator.snapshot import ObservedEvents
from tests.support.snapshots import PodMaker, a_job, a_pod, an_event, at, wire
from tests.support.volumes import a_claim

UID: Final = a_claim().metadata.uid
NAME: Final = a_claim().metadata.name
SIZE: Final = parse_memory("500 GB")
assert SIZE is not None
VOLUME: Final = Volume(NAME, SIZE, "ReadWriteOnce")
LIMITS: Final = Limits(queue_timeout=3600, status_window=2)
NO_NODE: Final = a_pod().condition(
    "PodScheduled", "False", 0, "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."
)
NOT_BOUND: Final = a_pod().condition(
    "PodScheduled", "False", 0, "Unschedulable", "pod has unbound immediate PersistentVolumeClaims"
)
THE_CLASS: Final = "no persistent volumes available for this claim and no storage class is set"


def decided(
    now: float,
    *events: EventView,
    pod: PodMaker = NOT_BOUND,
    claim: VolumeClaimView | None = None,
    absent: bool = False,
    volume: Volume | None = VOLUME,
) -> Waits | Failed:
    found = {UID: ObservedEvents(at(now), events)} if events else {}
    pending = Pending(
        a_job(), pod.view, at(now), LIMITS, found, volume=volume, claim=claim, claim_absent=absent
    )
    return waiting(pending)


def waits(result: Waits | Failed) -> tuple[str, str]:
    assert isinstance(result, Waits)
    return result.reason, result.message


def test_a_cluster_without_a_provisioner_is_told_in_one_sentence() -> None:
    result = decided(30, an_event("FailedBinding", THE_CLASS), claim=a_claim())
    assert waits(result) == (
        conditions.STEP_VOLUME,
        (
            "waits for the volume of its run, for which there is no provisioner: the cluster has no default "
            "StorageClass, and neither the Environment nor the installation names one"
        ),
    )


@pytest.mark.parametrize(
    "event",
    [
        an_event("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
        an_event("ExternalProvisioning", "Waiting for a volume to be created by 'ebs.csi.aws.com'"),
        an_event("Provisioning", "External provisioner is provisioning volume"),
        an_event("FailedBinding", "no volume fits"),
    ],
    ids=lambda event: event.reason,
)
def test_a_volume_that_is_not_there_yet_is_waited_for_in_the_provisioners_words(event: EventView) -> None:
    result = decided(30, event, claim=a_claim(storage_class="fast"))
    assert waits(result) == (conditions.STEP_VOLUME, f"waits for the volume of its run: {event.message}")


@pytest.mark.parametrize("reason", ["WaitForFirstConsumer", "WaitForPodScheduled"])
def test_a_volume_that_waits_for_a_node_is_not_the_reason(reason: str) -> None:
    failed = an_event("ProvisioningFailed", "the node was gone", when=5)
    result = decided(30, failed, an_event(reason, "…", when=20), pod=NO_NODE, claim=a_claim())
    assert waits(result)[0] == conditions.STEP_UNSCHEDULABLE


@pytest.mark.parametrize("pod", [a_pod(), NOT_BOUND, NO_NODE], ids=["new", "unbound", "no node"])
def test_the_events_of_the_claim_are_looked_up_as_long_as_it_is_not_bound(pod: PodMaker) -> None:
    early, later = (decided(now, pod=pod, claim=a_claim()) for now in (1, 2))
    assert isinstance(early, Waits)
    assert isinstance(later, Waits)
    assert early.lookups == ()
    assert early.look_at == at(2)
    assert later.lookups == (LookForEvents(UID, "PersistentVolumeClaim"),)


@pytest.mark.parametrize(
    ("pod", "claim"),
    [(NO_NODE, a_claim("Bound")), (a_pod().on_node(), a_claim()), (a_pod().on_node(), None)],
    ids=["bound", "on a node", "on a node, the claim unknown"],
)
def test_otherwise_nothing_is_looked_up_for_the_volume(pod: PodMaker, claim: VolumeClaimView | None) -> None:
    result = decided(3, pod=pod, claim=claim)
    assert isinstance(result, Waits)
    assert result.lookups == ()


def test_a_run_without_a_volume_waits_as_before() -> None:
    result = decided(30, pod=NO_NODE, volume=None)
    assert waits(result)[0] == conditions.STEP_UNSCHEDULABLE


def test_a_claim_that_is_not_cached_is_read_before_it_counts_as_lost() -> None:
    result = decided(3, claim=None)
    assert isinstance(result, Waits)
    assert result.lookups == (LookForVolumeClaim(NAME),)


@pytest.mark.parametrize(
    "lost", [{"absent": True}, {"claim": a_claim("Bound", deletionTimestamp=wire(10))}], ids=["gone", "going"]
)
def test_a_step_whose_volume_is_lost_fails_for_good(lost: dict[str, Any]) -> None:
    result = decided(30, **lost)
    assert isinstance(result, Failed)
    assert (result.blame, result.reason) == (Blame.DEFINITION, conditions.STEP_VOLUME_LOST)
    assert NAME in result.message
    assert result.message.endswith("what earlier steps wrote there; run the workflow again")
