"""Pods, Jobs and Snapshots for tests of decisions, built up in words.

Everything is built as the API server would send it, and decoded by the views as real objects
are. Moments are seconds from `BEGAN`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.building.refused import exceeded_resources
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.nativeviews import EventView, JobView, PodView
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, ProfileView, WorkflowView
from nightcrawler_crds.planning.nodes import Nodes
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_crds.v1alpha1 import Step, WorkflowSpec, conditions
from nightcrawler_operator.builders.revision import revision_of
from nightcrawler_operator.decisions.context import NOT_BEGUN, StepContext
from nightcrawler_operator.decisions.execution import run_of
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.snapshot import Attempt, Refusal, Snapshot

Json = dict[str, Any]

BEGAN: Final = datetime(2025, 7, 10, 14, 0, 0, tzinfo=UTC)
EXECUTION: Final = "run-1"
EXECUTION_UID: Final = "11111111-aaaa"
NODE: Final = "node-1"


def at(seconds: float) -> datetime:
    """A moment."""
    return BEGAN + timedelta(seconds=seconds)


def wire(seconds: float) -> str:
    """A moment as Kubernetes writes it."""
    return to_wire(at(seconds))


def a_step(name: str = "train", **fields: Any) -> Step:
    """A step; its fields are named as on the wire."""
    return Step.model_validate({"name": name, "image": "busybox:1", **fields})


def a_spec(*steps: Step | str, **fields: Any) -> WorkflowSpec:
    """A workflow's spec."""
    made = [a_step(step) if isinstance(step, str) else step for step in steps]
    written = [step.model_dump(by_alias=True, exclude_unset=True) for step in made]
    return WorkflowSpec.model_validate({"steps": written, **fields})


def job_name(step: str, attempt: int = 1) -> str:
    """The name that a step's Job has."""
    return names.child_name(EXECUTION, EXECUTION_UID, step, attempt)


def _meta(name: str, step: str, attempt: int, created: float) -> Json:
    return {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "10",
        "creationTimestamp": wire(created),
        "labels": {names.LABEL_EXECUTION: EXECUTION, names.LABEL_EXECUTION_UID: EXECUTION_UID},
        "annotations": {
            names.ANNOTATION_STEP: step,
            names.ANNOTATION_ATTEMPT: str(attempt),
            names.ANNOTATION_REVISION: "wf-rev",
        },
    }


class PodMaker:
    """A Pod of a step's attempt; each method gives a changed copy. At first it is just created."""

    def __init__(self, step: str = "train", attempt: int = 1, created: float = 0) -> None:
        meta = _meta(f"{job_name(step, attempt)}-x7k2p", step, attempt, created)
        self.body: Json = {"metadata": meta, "spec": {}, "status": {"phase": "Pending"}}

    @property
    def view(self) -> PodView:
        """As the operator reads it."""
        return msgspec.convert(self.body, PodView, strict=False)

    def _with(self, part: str, **fields: Any) -> Self:
        changed = copy.copy(self)
        changed.body = copy.deepcopy(self.body)
        changed.body[part].update(fields)
        return changed

    def on_node(self, node: str = NODE, since: float = 0) -> Self:
        """Scheduled, and accepted by its kubelet."""
        return self._with("spec", nodeName=node)._with("status", startTime=wire(since))

    def allowed(self, seconds: int) -> Self:
        """Its activeDeadlineSeconds."""
        return self._with("spec", activeDeadlineSeconds=seconds)

    def phase(self, phase: str, reason: str = "", message: str = "") -> Self:
        """The Pod's phase, with the kubelet's reason."""
        return self._with("status", phase=phase, reason=reason, message=message)

    def condition(
        self, kind: str, status: str, since: float = 0, reason: str = "", message: str = ""
    ) -> Self:
        """A condition of the Pod."""
        said = {"type": kind, "status": status, "reason": reason, "message": message}
        known = self.body["status"].get("conditions", [])
        return self._with("status", conditions=[*known, {**said, "lastTransitionTime": wire(since)}])

    def container(
        self, state: Json, name: str = names.STEP_CONTAINER, *, init: bool = False, **status: Any
    ) -> Self:
        """A container's state, and other fields of its status as on the wire."""
        where = "initContainerStatuses" if init else "containerStatuses"
        known = self.body["status"].get(where, [])
        made = {"name": name, "image": "busybox:1", "state": state, **status}
        return self._with("status", **{where: [*known, made]})

    def sidecar(self, state: Json, name: str = "proxy", **status: Any) -> Self:
        """A side-car's state, and other fields of its status as on the wire."""
        known = self.body["spec"].get("initContainers", [])
        asked = self._with("spec", initContainers=[*known, {"name": name, "restartPolicy": "Always"}])
        return asked.container(state, name, init=True, **status)

    def waiting(self, reason: str, message: str = "", **container: Any) -> Self:
        """A container that cannot start, on the Pod's node."""
        return self.on_node().container({"waiting": {"reason": reason, "message": message}}, **container)

    def running(self, since: float = 1) -> Self:
        """Its container runs."""
        return self.on_node().phase("Running").container({"running": {"startedAt": wire(since)}})

    def exited(
        self, code: int, end: float = 5, *, reason: str = "", message: str = "", started: float | None = 1
    ) -> Self:
        """Its container has ended, and with it the Pod."""
        state: Json = {"exitCode": code, "reason": reason, "message": message, "finishedAt": wire(end)}
        if started is not None:
            state["startedAt"] = wire(started)
        ended = self.on_node().container({"terminated": state})
        return ended.phase("Succeeded" if code == 0 else "Failed")

    def disrupted(self, when: float, message: str = "preempted by a Pod of higher priority") -> Self:
        """The cluster has announced that it ends the Pod."""
        return self.condition("DisruptionTarget", "True", when, "PreemptionByScheduler", message)

    def deleted(self, asked: float, grace: int = 30) -> Self:
        """Its deletion was requested then; the timestamp is when the grace period is over."""
        return self._with("metadata", deletionTimestamp=wire(asked + grace), deletionGracePeriodSeconds=grace)


def a_pod(step: str = "train", attempt: int = 1, created: float = 0) -> PodMaker:
    """A Pod that was just created."""
    return PodMaker(step, attempt, created)


def a_job(
    step: str = "train",
    attempt: int = 1,
    *,
    created: float = 0,
    ended: tuple[str, float] | None = None,
    deleting: bool = False,
) -> JobView:
    """A Job; `ended` is Complete or Failed, and when."""
    meta = _meta(job_name(step, attempt), step, attempt, created)
    owner = {"kind": "WorkflowExecution", "name": EXECUTION, "uid": EXECUTION_UID, "controller": True}
    body: Json = {"metadata": meta | {"ownerReferences": [owner]}, "status": {}}
    if deleting:
        body["metadata"]["deletionTimestamp"] = wire(created)
    if ended:
        kind, when = ended
        said = {"type": kind, "status": "True", "message": "its Pod has ended"}
        body["status"]["conditions"] = [{**said, "lastTransitionTime": wire(when)}]
        if kind == "Complete":
            body["status"]["completionTime"] = wire(when)
    return msgspec.convert(body, JobView, strict=False)


def an_event(reason: str, message: str, when: float = 5) -> EventView:
    """A Kubernetes Event."""
    body = {"metadata": {"name": "e"}, "reason": reason, "message": message, "lastTimestamp": wire(when)}
    return msgspec.convert(body, EventView, strict=False)


def an_environment(name: str, created: float = 0, **spec: Any) -> EnvironmentView:
    """An Environment."""
    body = {"metadata": {"name": name, "creationTimestamp": wire(created)}, "spec": spec}
    return msgspec.convert(body, EnvironmentView, strict=False)


def a_profile(name: str, created: float = 0, **spec: Any) -> ProfileView:
    """A ComputeProfile."""
    body = {"metadata": {"name": name, "creationTimestamp": wire(created)}, "spec": spec}
    return msgspec.convert(body, ProfileView, strict=False)


def a_workflow(spec: WorkflowSpec | Json, **metadata: Any) -> WorkflowView:
    """A Workflow."""
    written = (
        spec.model_dump(by_alias=True, exclude_unset=True) if isinstance(spec, WorkflowSpec) else dict(spec)
    )
    meta = {"name": "wf", "namespace": "default", "uid": "wf-uid", "resourceVersion": "7", "generation": 1}
    return msgspec.convert({"metadata": meta | metadata, "spec": written}, WorkflowView, strict=False)


class SnapshotMaker:
    """An execution of a workflow as a decision sees it; each method gives a changed copy.

    At first it is accepted, nothing has been done yet, and it is moment 0.
    """

    def __init__(self, spec: WorkflowSpec) -> None:
        self.spec = spec
        self.meta: Json = {
            "name": EXECUTION,
            "namespace": "default",
            "uid": EXECUTION_UID,
            "resourceVersion": "20",
            "generation": 1,
            "creationTimestamp": wire(0),
            "labels": {names.LABEL_WORKFLOW: "wf"},
            "ownerReferences": [{"kind": "Workflow", "name": "wf", "uid": "wf-uid"}],
        }
        self.wanted: Json = {"workflowRef": {"name": "wf"}, "cancel": False}
        self.status: Json = {}
        self.pods: list[PodMaker] = []
        self.jobs: list[JobView] = []
        self.more: Json = {"nodes": Nodes(ready=frozenset({NODE}))}
        self.now: float = 0
        self.limits = Limits()

    def _copy(self) -> Self:
        changed = copy.copy(self)
        for name in ("meta", "wanted", "status", "pods", "jobs", "more"):
            setattr(changed, name, copy.copy(getattr(self, name)))
        return changed

    def accepted(self) -> Self:
        """Recorded as accepted."""
        changed = self._copy()
        said = {"type": conditions.ACCEPTED, "status": "True", "reason": conditions.VALID}
        changed.status |= {
            "phase": "Pending",
            "revision": "wf-rev",
            "conditions": [{**said, "lastTransitionTime": wire(0)}],
        }
        return changed

    def at(self, seconds: float) -> Self:
        """Set the time."""
        changed = self._copy()
        changed.now = seconds
        return changed

    def with_status(self, **fields: Any) -> Self:
        """Fields of the recorded status, as on the wire."""
        changed = self._copy()
        changed.status |= fields
        return changed

    def with_metadata(self, **fields: Any) -> Self:
        """Fields of the execution's metadata, as on the wire."""
        changed = self._copy()
        changed.meta |= fields
        return changed

    def with_spec(self, **fields: Any) -> Self:
        """Fields of the execution's spec, as on the wire."""
        changed = self._copy()
        changed.wanted |= fields
        return changed

    def cancelled(self) -> Self:
        """Its cancellation was requested."""
        return self.with_spec(cancel=True)

    def recorded(self, step: str, phase: str, attempt: int = 1, *, job: bool = True, **fields: Any) -> Self:
        """The recorded status of a step."""
        named = {"jobName": job_name(step, attempt)} if job and attempt else {}
        steps = self.status.get("steps", {})
        return self.with_status(
            steps={**steps, step: {"phase": phase, "attempt": attempt, **named, **fields}}
        )

    def with_pod(self, pod: PodMaker, *, job: JobView | None = None) -> Self:
        """A Pod and its Job."""
        changed = self._copy()
        changed.pods.append(pod)
        marks = pod.view.metadata.annotations
        made = a_job(marks.step, int(marks.attempt))
        return changed.with_job(job or made)

    def with_orphan(self, pod: PodMaker) -> Self:
        """A Pod whose Job is gone."""
        changed = self._copy()
        changed.pods.append(pod)
        return changed

    def with_job(self, job: JobView) -> Self:
        """A Job, instead of one of its name."""
        changed = self._copy()
        changed.jobs = [j for j in self.jobs if j.metadata.name != job.metadata.name] + [job]
        return changed

    def with_refusal(
        self,
        step: str,
        message: str,
        ask_again: float | None,
        attempt: int = 1,
        *,
        reason: str = "",
        since: float = 0,
    ) -> Self:
        """The API server refused a step's Job; by default for a quota, or as invalid."""
        usual = conditions.STEP_INVALID if ask_again is None else conditions.STEP_QUOTA
        again = None if ask_again is None else at(ask_again)
        exceeded = exceeded_resources(message)
        refusal = Refusal(message, again, reason or usual, at(since), exceeded=exceeded)
        known = self.more.get("refusals", {})
        return self.with_fields(refusals={**known, job_name(step, attempt): refusal})

    def with_fields(self, **fields: Any) -> Self:
        """Other fields of the Snapshot."""
        changed = self._copy()
        changed.more |= fields
        return changed

    def with_limits(self, **limits: Any) -> Self:
        """Limits of the installation."""
        changed = self._copy()
        changed.limits = replace(self.limits, **limits)
        return changed

    def build(self) -> Snapshot:
        """The Snapshot."""
        body = {"metadata": self.meta, "spec": self.wanted, "status": self.status}
        workflow = a_workflow(self.spec)
        given: Json = {
            "workflow": workflow,
            "revision": self._revision(workflow),
            "named_revision": self.status.get("revision") or self.wanted.get("revision"),
        }
        return Snapshot(
            now=at(self.now),
            execution=msgspec.convert(body, ExecutionView, strict=False),
            limits=self.limits,
            attempts=self._attempts(),
            **(given | self.more),
        )

    def _revision(self, workflow: WorkflowView) -> Revision:
        revision = revision_of(workflow, self.more.get("profiles", ()))
        return replace(revision, name=self.status.get("revision") or revision.name)

    def _attempts(self) -> dict[tuple[str, int], Attempt]:
        jobs = {_which(job): job for job in self.jobs}
        pods: dict[tuple[str, int], tuple[PodView, ...]] = {}
        for pod in (maker.view for maker in self.pods):
            pods[_which(pod)] = (*pods.get(_which(pod), ()), pod)
        return {which: Attempt(jobs.get(which), pods.get(which, ())) for which in {**jobs, **pods}}


def a_snapshot(*steps: Step | str, **fields: Any) -> SnapshotMaker:
    """An accepted execution of a workflow with these steps; `fields` are the workflow's, as on the wire."""
    return SnapshotMaker(a_spec(*(steps or ("train",)), **fields)).accepted()


def a_new_execution(*steps: Step | str, **fields: Any) -> SnapshotMaker:
    """An execution that was not reconciled yet."""
    return SnapshotMaker(a_spec(*(steps or ("train",)), **fields))


def a_context(now: datetime, step: Step | None = None) -> StepContext:
    """A step of which nothing is recorded, in a run at this moment."""
    made = step or a_step()
    snapshot = replace(a_snapshot(made).build(), now=now)
    assert snapshot.revision is not None
    return StepContext(made, NOT_BEGUN, run_of(snapshot, snapshot.revision), snapshot)


def _which(child: JobView | PodView) -> tuple[str, int]:
    return child.metadata.annotations.step, int(child.metadata.annotations.attempt)
