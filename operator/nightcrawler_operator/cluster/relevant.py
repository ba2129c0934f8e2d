"""What decisions depend on in other objects: a change of anything else needs no reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nightcrawler_crds.kube.nativeviews import ContainerState, JobView, NodeView, PodView, VolumeClaimView
from nightcrawler_operator.decisions.pods import disruption, pod_condition, step_status

_SETTING_UP: Final = frozenset({"ContainerCreating", "PodInitializing"})


def job_state(job: JobView) -> tuple[object, ...]:
    """What decisions depend on in a Job; its counters are noise."""
    ended = tuple(c.type for c in job.status.conditions if c.status == "True")
    return (ended, job.metadata.deletion_timestamp, job.spec.suspend)


def volume_claim_state(claim: VolumeClaimView) -> tuple[object, ...]:
    """What decisions depend on in a claim."""
    return (claim.status.phase, claim.metadata.deletion_timestamp)


def pod_state(pod: PodView) -> tuple[object, ...]:
    """What decisions depend on in a Pod; all else is noise."""
    own = step_status(pod)
    scheduled = pod_condition(pod, "PodScheduled")
    containers = (*pod.status.init_container_statuses, *((own,) if own else ()))
    return (
        pod.status.phase,
        pod.status.reason,
        tuple(state for container in containers if (state := _container_state(container.state))),
        pod.metadata.deletion_timestamp,
        pod.metadata.deletion_grace_period_seconds == 0,
        scheduled.reason if scheduled is not None and scheduled.status != "True" else "",
        disruption(pod) is not None,
    )


CREATED: Final = ("Pending", "", (), None, False, "", False)
"""The state of a Pod that was just created."""


def _container_state(state: ContainerState) -> str:
    if state.terminated is not None:
        return "terminated"
    if state.running is not None:
        return "running"
    reason = state.waiting.reason if state.waiting is not None else ""
    return "" if reason in _SETTING_UP else reason


def node_state(node: NodeView) -> tuple[object, ...]:
    """What placement and steps look at; heartbeats, images and addresses change all the time."""
    meta, status, spec = node.metadata, node.status, node.spec
    return (
        node.ready,
        meta.deletion_timestamp,
        meta.labels,
        status.allocatable,
        spec.taints,
        spec.unschedulable,
    )


def names_profile(spec: Mapping[str, Any]) -> bool:
    """Whether a workflow, or a step of it, names a compute profile; `spec` may be any JSON."""
    config, steps = spec.get("config"), spec.get("steps")
    parts = [config, *(steps if isinstance(steps, list) else ())]
    return any(isinstance(part, Mapping) and part.get("computeProfile") is not None for part in parts)
