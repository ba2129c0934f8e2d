"""What decisions return: a Plan of writes, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec
from nightcrawler_operator.snapshot import Revision


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do until something changes."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Look again at `until`, or when something changes."""

    until: datetime


Outcome = Done | Waiting


class DecideAgain(Exception):
    """What the plan was made on has changed; look and decide again."""


class NotLeading(Exception):
    """There is too little left of the lease to write anything."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every Job of an execution is made from."""

    execution: str
    execution_uid: str
    namespace: str
    workflow: str
    revision: Revision
    parameters: Mapping[str, Any]
    environment: EnvironmentSpec
    lost_environment: str | None = None
    gpu_products: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewJob:
    """The Job of one attempt of a step, to be created."""

    step: str
    attempt: int
    name: str


@dataclass(frozen=True, slots=True)
class OldObject:
    """An object to delete, by name and UID."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A Job whose end is for us to tell, since we manage it. Moments are those of its Pod."""

    name: str
    uid: str
    succeeded: bool
    started: datetime
    finished: datetime


@dataclass(frozen=True, slots=True)
class FreedPod:
    """A Pod that may go: somebody has deleted it, and what it had to say is on record.

    `finalizers` are those that are not ours to take off, `version` the resourceVersion they were seen at.
    """

    name: str
    version: str
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a Pod's time is over: `seconds` after its own start, as its kubelet counts them."""

    name: str
    uid: str
    seconds: int


@dataclass(frozen=True, slots=True)
class LookForJob:
    """Ask the API server for a Job and its Pods that the caches do not show as expected.

    `has_run` says that it is known to have had a Pod: if there is none, that one is gone.
    """

    name: str
    has_run: bool = False


@dataclass(frozen=True, slots=True)
class LookForEvents:
    """Ask for the Events about an object: they say why it does not come up, or how it ended.

    What was told while it lived does not speak of its end, so that is kept apart.
    """

    uid: str
    kind: str
    of_its_end: bool = False

    @property
    def key(self) -> str:
        """Under what the answer is kept."""
        return f"{self.uid}/end" if self.of_its_end else self.uid


@dataclass(frozen=True, slots=True)
class LookForRevision:
    """Ask for a ControllerRevision that is not known yet."""

    name: str


@dataclass(frozen=True, slots=True)
class LookForWorkflow:
    """Ask for the workflow, since a run is to begin with what it is now."""


@dataclass(frozen=True, slots=True)
class LookForEnvironments:
    """Ask for the Environments, since it would hang on there not being one.

    The dearest of all look-ups: while others write, the API server makes the list of a kind that
    seldom changes wait for up to 100 ms, to be sure that it is complete.
    """


Lookup = LookForWorkflow | LookForEnvironments | LookForJob | LookForEvents | LookForRevision


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes in the order in which they are made, and what comes after.

    Adoption and revision, deletions (`room` are finished Jobs beside which a quota has no room for the
    next), Jobs of first attempts, Pods that managed Jobs lack, the status, deadlines of Pods, Jobs of further
    attempts (which must be on record before they are made), the ends of managed Jobs, what kept Pods that
    were deleted, look-ups. `status` is a merge patch; `completed` are steps that have completed and are not
    in it, for it is not written yet: that is to be remembered.
    """

    adopt: bool = False
    revision: Revision | None = None
    delete_jobs: tuple[OldObject, ...] = ()
    delete_pods: tuple[OldObject, ...] = ()
    force_delete_pods: tuple[OldObject, ...] = ()
    room: tuple[OldObject, ...] = ()
    first_jobs: tuple[NewJob, ...] = ()
    missing_pods: tuple[OldObject, ...] = ()
    status: Mapping[str, Any] | None = None
    deadlines: tuple[Deadline, ...] = ()
    later_jobs: tuple[NewJob, ...] = ()
    ended_jobs: tuple[EndedJob, ...] = ()
    freed_pods: tuple[FreedPod, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    completed: Mapping[str, StepStatusView] = field(default_factory=dict)
    run: Run | None = None
    ended: bool = False
    outcome: Outcome = field(default_factory=Done)
