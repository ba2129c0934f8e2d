"""What decisions return: a Plan of writes, and when to decide again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightcrawler_crds.building.run import NewJob, Run
from nightcrawler_crds.building.volume import Volume
from nightcrawler_crds.kube.views import StepStatusView
from nightcrawler_crds.planning.revision import Revision
from nightcrawler_operator.claims import Claim, Withdrawn


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to do until something changes."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Decide again at `until`, or when something changes."""

    until: datetime


Outcome = Done | Waiting


class DecideAgain(Exception):
    """What the plan is based on has changed: requeue."""


class NotLeading(Exception):
    """The lease is about to expire: nothing may be written."""


@dataclass(frozen=True, slots=True)
class OldObject:
    """An object to delete, by name and UID."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A managed Job whose final status is not written yet. The times are those of its Pod."""

    name: str
    uid: str
    succeeded: bool
    started: datetime
    finished: datetime


@dataclass(frozen=True, slots=True)
class FreedPod:
    """A deleted Pod whose result is recorded, so that our finalizer may be removed.

    `finalizers` are the others, which stay; `version` is the resourceVersion at which they were read.
    """

    name: str
    version: str
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deadline:
    """The `activeDeadlineSeconds` of a Pod, which its kubelet counts from the Pod's start."""

    name: str
    uid: str
    seconds: int


@dataclass(frozen=True, slots=True)
class LookForJob:
    """Look up a Job and its Pods, which the caches do not show as expected.

    `has_run`: it is known to have had a Pod, so that no Pod means a deleted one.
    """

    name: str
    has_run: bool = False


@dataclass(frozen=True, slots=True)
class LookForVolumeClaim:
    """Read the claim of the run's volume, which is not cached although Jobs were created."""

    name: str


@dataclass(frozen=True, slots=True)
class LookForEvents:
    """Look up the Events about an object: why it does not start, or how it ended.

    Events from before its end do not explain its end, so these two are cached apart.
    """

    uid: str
    kind: str
    of_its_end: bool = False

    @property
    def key(self) -> str:
        """The key of the cached answer."""
        return f"{self.uid}/end" if self.of_its_end else self.uid


@dataclass(frozen=True, slots=True)
class LookForRevision:
    """Look up a ControllerRevision that is not cached."""

    name: str


@dataclass(frozen=True, slots=True)
class LookForWorkflow:
    """Read the workflow: a run begins with its current content, also if it is not cached yet."""


@dataclass(frozen=True, slots=True)
class LookForEnvironments:
    """List the Environments, because the decision depends on one not being there.

    The most expensive look-up: while others write, the API server delays the list of a kind that seldom
    changes by up to 100 ms, to be sure that it is complete.
    """


@dataclass(frozen=True, slots=True)
class LookForProfiles:
    """List the ComputeProfiles, because the workflow names one that is not cached."""


@dataclass(frozen=True, slots=True)
class LookForSecrets:
    """Read the Secrets that the run's steps use, to mask their values in a message."""

    used: Mapping[str, frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class LookForPastRuns:
    """List the runs of the workflow that completed: their durations are what a strategy expects."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One Kubernetes Event about an execution.

    `key` tells it from the others of the execution: an Event with the same key is the same one. `at` is when
    it happened, None for now.
    """

    reason: str
    message: str
    key: tuple[str, ...]
    at: datetime | None = None
    warning: bool = False


Lookup = (
    LookForPastRuns
    | LookForWorkflow
    | LookForEnvironments
    | LookForProfiles
    | LookForJob
    | LookForVolumeClaim
    | LookForEvents
    | LookForRevision
    | LookForSecrets
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes in the order in which they are made, and what follows.

    Adoption and revision, deletions (`room` are finished Jobs that make room under a quota), the claim of the
    run's volume, Jobs of first attempts, missing Pods of managed Jobs, the status, deadlines of Pods, Jobs of
    further attempts (which have to be recorded first), final statuses of managed Jobs, finalizers of deleted
    Pods, look-ups. `status` is a merge patch; `completed` are steps that have completed and are not recorded
    yet, to be remembered; `claim` is what the run waits for under limits, None if that does not change.
    """

    adopt: bool = False
    revision: Revision | None = None
    delete_jobs: tuple[OldObject, ...] = ()
    delete_pods: tuple[OldObject, ...] = ()
    force_delete_pods: tuple[OldObject, ...] = ()
    room: tuple[OldObject, ...] = ()
    volume: Volume | None = None
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
    claim: Claim | Withdrawn | None = None
    ended: bool = False
    outcome: Outcome = field(default_factory=Done)
