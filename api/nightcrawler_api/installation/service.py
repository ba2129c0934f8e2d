"""Use case of the installation: show how it is."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Final

from nightcrawler_api.auth.setup import Identity
from nightcrawler_api.caller import Caller
from nightcrawler_api.http.streams import Streams
from nightcrawler_api.installation.operator import operator_status
from nightcrawler_api.installation.schemas import (
    CacheStatus,
    IdentityStatus,
    InstallationStatus,
    OperatorStatus,
)
from nightcrawler_api.keeping.health import health_of
from nightcrawler_api.keeping.kept import Kept
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds import clock
from nightcrawler_crds.errors import ApiError, Forbidden, NotFound
from nightcrawler_crds.kube.nativeviews import LeaseView
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import LEASES
from nightcrawler_crds.variables import variable

_WITHIN_SECONDS: Final = 2.0


class InstallationService:
    """The state of the operator, the API server and this replica of the facade.

    `lease` is the namespace and name of the operator's Lease.
    """

    def __init__(
        self,
        store: Store,
        cluster: ClusterCache,
        streams: Streams,
        kept: Kept,
        identity: Identity,
        lease: tuple[str, str],
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._streams = streams
        self._kept = kept
        self._identity = identity
        self._lease = lease
        self._kubernetes = ""

    async def show(self, caller: Caller) -> InstallationStatus:
        """The state now, within seconds, also while the API server does not answer."""
        cluster = self._cluster
        operator, kubernetes = await asyncio.gather(self._operator(), self._version())
        server, kept = cluster.reachability, health_of(self._kept)
        caches = self._caches(caller)
        identity = self._identity_status(caller)
        parts = (kept.get("archive"), kept.get("keptLogs"), identity)
        are_usable = [one["usable"] for one in parts if one is not None]
        shown: InstallationStatus = {
            "healthy": operator.get("working", False)
            and server.reachable
            and not cluster.not_ready_reason
            and not cluster.stale_kinds
            and all(are_usable),
            "version": version("nightcrawler"),
            "namespace": cluster.namespace,
            "operator": operator,
            "apiServer": {"reachable": server.reachable, "seconds": round(server.seconds, 3)},
            "caches": caches,
            "streams": {"open": len(self._streams), "limit": self._streams.limit},
        }
        if "archive" in kept:
            shown["archive"] = kept["archive"]
        if "keptLogs" in kept:
            shown["keptLogs"] = kept["keptLogs"]
        if identity is not None:
            shown["identity"] = identity
        if cluster.others != () and caller.is_admin:
            shown["namespaces"] = ["*"] if cluster.others is None else list(cluster.others)
            shown["unreadNamespaces"] = cluster.unread
        if kubernetes:
            shown["apiServer"]["version"] = kubernetes
        return shown

    def _identity_status(self, caller: Caller) -> IdentityStatus | None:
        if not self._identity.is_known:
            return None
        problem = self._identity.problem
        found: IdentityStatus = {"usable": not problem}
        if problem and caller.is_admin:
            found["detail"] = problem
        return found

    def _caches(self, caller: Caller) -> list[CacheStatus]:
        """The caches; administrators alone see how much there is of what others may not see."""
        cluster = self._cluster
        silences, unreadable = cluster.silences, cluster.unreadable
        unsynced, stale = cluster.unsynced, cluster.stale_kinds
        found: list[CacheStatus] = []
        for kind, objects in cluster.sizes.items():
            one: CacheStatus = {
                "kind": kind,
                "synced": kind not in unsynced,
                "stale": kind in stale,
                "silentSeconds": round(silences[kind], 1),
            }
            if caller.is_admin:
                one |= {"objects": objects, "unreadable": unreadable[kind]}
            found.append(one)
        return found

    async def _operator(self) -> OperatorStatus:
        namespace, name = self._lease
        place = f"Lease {name!r} in namespace {namespace!r}"
        try:
            async with asyncio.timeout(_WITHIN_SECONDS):
                lease = await self._store.get(LEASES, namespace, name, LeaseView)
        except NotFound:
            return {
                "working": False,
                "detail": f"there is no {place}: no operator has led there yet. One without leader election "
                f"has none; else {variable('lease_namespace')} and {variable('lease_name')} must be its own",
            }
        except Forbidden:
            return {"detail": f"the facade may not read the {place}; hack/rbac.yaml has the right it needs"}
        except (ApiError, TimeoutError):
            return {"detail": "the API server does not answer, so it is not known whether the operator works"}
        return operator_status(lease, clock.utcnow())

    async def _version(self) -> str:
        """The version of Kubernetes, asked for until it is known; empty while it is not."""
        if not self._kubernetes:
            try:
                async with asyncio.timeout(_WITHIN_SECONDS):
                    self._kubernetes = await self._store.version()
            except (ApiError, TimeoutError):
                return ""
        return self._kubernetes
