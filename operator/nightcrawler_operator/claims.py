"""What runs claim under limits (`nightcrawler_crds.allocation`), and what the allocator says of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nightcrawler_crds.allocation import Queue, Rank, Subjects
from nightcrawler_crds.kube.views import PlacementView
from nightcrawler_crds.v1alpha1 import EnvironmentSpec


@dataclass(frozen=True, slots=True)
class Place:
    """The chosen Environment: `name` is its metadata.name, or None for this cluster as it is.

    With `any_name` it was chosen because no Environment has the name that was asked for.
    """

    name: str | None
    spec: EnvironmentSpec
    reason: str
    message: str
    any_name: bool = False
    placement: tuple[PlacementView, ...] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that waits for its places.

    Attributes:
        uid: The UID of its execution.
        rank: Its position among those that wait.
        subjects: What it needs a place of.
        place: Where it would run, as decided when it claimed.
        made_at: When that was.
        flexible: Whether a strategy chose it among several, so that another one may be better by now.
    """

    uid: str
    rank: Rank
    subjects: Subjects
    place: Place
    made_at: datetime
    flexible: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A run that does not wait for its places now, because it could not begin with them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the allocator says of a run that has claimed.

    Attributes:
        granted: Whether it has its places.
        considered: Whether the allocator has looked at the claim.
        place: The place that it claimed.
        queue: What it waits for.
        late: Whether the status says that it has its places, and that was written by a former leader, too
            late to be counted: it must not begin with them.
    """

    granted: bool = False
    considered: bool = False
    place: Place | None = None
    queue: Queue | None = None
    late: bool = False
