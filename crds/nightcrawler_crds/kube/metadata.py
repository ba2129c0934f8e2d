"""The parts of views: metadata and conditions."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.kube.sharing import share, tie

_MOST_DIGITS: Final = 9


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class Owner(_Read, frozen=True):
    """One ownerReference."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "api_version", "kind")


class OurLabels(_Read, frozen=True):
    """Our labels; all others are dropped while decoding."""

    workflow: str = msgspec.field(default="", name=names.LABEL_WORKFLOW)
    execution: str = msgspec.field(default="", name=names.LABEL_EXECUTION)
    execution_uid: str = msgspec.field(default="", name=names.LABEL_EXECUTION_UID)
    job_name: str = msgspec.field(default="", name="batch.kubernetes.io/job-name")

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "workflow")


class OurAnnotations(_Read, frozen=True):
    """Our annotations; all others are dropped while decoding."""

    step: str = msgspec.field(default="", name=names.ANNOTATION_STEP)
    attempt: str = msgspec.field(default="", name=names.ANNOTATION_ATTEMPT)
    revision: str = msgspec.field(default="", name=names.ANNOTATION_REVISION)
    environment: str = msgspec.field(default="", name=names.ANNOTATION_ENVIRONMENT)
    creator: str = msgspec.field(default="", name=names.ANNOTATION_CREATOR)
    creator_id: str = msgspec.field(default="", name=names.ANNOTATION_CREATOR_ID)
    updated_at: str = msgspec.field(default="", name=names.ANNOTATION_UPDATED_AT)
    duties_done: str = msgspec.field(default="", name=names.ANNOTATION_DUTIES_DONE)

    @property
    def attempt_number(self) -> int:
        """The attempt of its step; 0 if the annotation is not a number, since anyone can change it."""
        is_one = self.attempt.isascii() and self.attempt.isdecimal() and len(self.attempt) <= _MOST_DIGITS
        return int(self.attempt) if is_one else 0

    @property
    def done_duties(self) -> tuple[str, ...]:
        """What the facade has done for an execution that has ended."""
        return tuple(word.strip() for word in self.duties_done.split(",") if word.strip())

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "step", "attempt", "revision", "environment", "creator", "creator_id", "duties_done")


class Meta(_Read, frozen=True):
    """The metadata that every view has. `resource_version` grows with every change."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: OurLabels = OurLabels()
    annotations: OurAnnotations = OurAnnotations()
    owner_references: tuple[Owner, ...] = ()
    finalizers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Intern repeated strings, and share names and UIDs that the metadata repeats."""
        share(self, "namespace")
        labels = self.labels
        tie(labels, "job_name", self.name)
        for owner in self.owner_references:
            tie(owner, "uid", labels.execution_uid)
            tie(owner, "name", labels.execution, labels.workflow, self.name)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace (empty for cluster-scoped kinds) and name."""
        return (self.namespace, self.name)

    @property
    def version(self) -> int:
        """The resourceVersion as a number: the API server's are comparable (KEP-5504)."""
        return int(self.resource_version)


class View(Protocol):
    """What caches and informers need of an object."""

    @property
    def metadata(self) -> Meta:
        """Name, UID and version."""
        ...


class Condition(_Read, frozen=True):
    """A condition of any kind; `last_transition_time` is absent on some."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    observed_generation: int | None = None
