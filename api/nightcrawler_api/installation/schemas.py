"""The response about the installation."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from nightcrawler_api.keeping.schemas import ArchiveHealth, LogHealth


class OperatorStatus(TypedDict):
    """The operator, as its Lease shows it; `detail` says in a sentence how it is.

    `working` is false if nobody leads, or the leader has not renewed the Lease for longer than it is valid;
    it is missing if the Lease cannot be read. `lastSeen` is by the leader's clock.
    """

    working: NotRequired[bool]
    leader: NotRequired[str]
    version: NotRequired[str]
    lastSeen: NotRequired[str]
    silentSeconds: NotRequired[float]
    detail: str


class CacheStatus(TypedDict):
    """The cache of one kind; `silentSeconds` since the last event of its watch, bookmarks included.

    `unreadable` is the number of objects that cannot be decoded, `stale` whether the watch is silent for too
    long. How many objects there are is said to administrators only, if callers are identified.
    """

    kind: str
    objects: NotRequired[int]
    unreadable: NotRequired[int]
    synced: bool
    stale: bool
    silentSeconds: float


class ApiServerStatus(TypedDict):
    """The API server, and how long it took to answer last; `version` is that of Kubernetes."""

    reachable: bool
    seconds: float
    version: NotRequired[str]


class StreamsStatus(TypedDict):
    """Streams of events and logs that are open in this replica, and the most that it serves."""

    open: int
    limit: int


class IdentityStatus(TypedDict):
    """Whether teams file and identity provider can be used; `detail`, for administrators, says why not."""

    usable: bool
    detail: NotRequired[str]


class InstallationStatus(TypedDict):
    """The state of the installation, as this replica of the facade sees it.

    `healthy` is false if something in it needs a person; `version` is the facade's. `archive` and `keptLogs`
    are there if it keeps them, `identity` if callers are identified. `namespaces` are served besides the home
    namespace, and `unreadNamespaces` are those of them that are missing, or hidden from the facade; both are
    for administrators.
    """

    healthy: bool
    version: str
    namespace: str
    namespaces: NotRequired[list[str]]
    unreadNamespaces: NotRequired[list[str]]
    operator: OperatorStatus
    apiServer: ApiServerStatus
    caches: list[CacheStatus]
    streams: StreamsStatus
    archive: NotRequired[ArchiveHealth]
    keptLogs: NotRequired[LogHealth]
    identity: NotRequired[IdentityStatus]
