"""Applies lists and watch events of our own kinds to the caches.

An object that cannot be parsed stays in its cache as it was and is noted in `ClusterState.unreadable`: if it
were removed, its run would seem to have ended, and its live Jobs to be leftovers. While an execution is
noted, nothing is decided for it (`reconcilers.execution`): the cached status is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.errors import Unreadable
from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.reading import from_body
from nightcrawler_crds.kube.views import EnvironmentView, ExecutionView, ProfileView, WorkflowView
from nightcrawler_crds.names import Resource
from nightcrawler_operator.cluster.state import ClusterState

VIEWS: Final[Mapping[Resource, type[Any]]] = {
    names.ENVIRONMENTS: EnvironmentView,
    names.WORKFLOWS: WorkflowView,
    names.EXECUTIONS: ExecutionView,
    names.COMPUTE_PROFILES: ProfileView,
}


def cache_of(cluster: ClusterState, resource: Resource) -> Cache[Any]:
    """The cache of one of our own kinds."""
    caches: dict[Resource, Cache[Any]] = {
        names.WORKFLOWS: cluster.workflows,
        names.EXECUTIONS: cluster.executions,
        names.ENVIRONMENTS: cluster.environments,
        names.COMPUTE_PROFILES: cluster.profiles,
    }
    return caches[resource]


def apply_event(cluster: ClusterState, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
    """Apply an event; `kind` is ADDED, MODIFIED, DELETED, or None if the object was listed."""
    cache, unreadable = cache_of(cluster, resource), cluster.unreadable[resource]
    try:
        new = from_body(body, VIEWS[resource])
    except errors.Unreadable as error:
        if kind == "DELETED" and error.key is not None:
            unreadable.clear(error.key, error.uid, error.version)
            cache.forget(error.key, error.uid, error.version)
        elif not _is_past(cache, error):
            unreadable.note(error)
        return
    meta = new.metadata
    unreadable.clear(meta.key, meta.uid, meta.version)
    if kind == "DELETED":
        cache.forget(meta.key, meta.uid, meta.version)
    else:
        cache.upsert(new)


def _is_past(cache: Cache[Any], error: Unreadable) -> bool:
    """Whether a later version of an object was read already, such as in the answer to a write."""
    known = cache.get(error.key) if error.key is not None else None
    return known is not None and known.metadata.uid == error.uid and known.metadata.version >= error.version


def apply_list(
    cluster: ClusterState,
    resource: Resource,
    found: Iterable[Any],
    unreadable: Iterable[Unreadable],
    version: int,
) -> None:
    """Apply a complete list; `unreadable` are the objects in it that could not be parsed."""
    cache, noted = cache_of(cluster, resource), cluster.unreadable[resource]
    known = {error.key: error for error in unreadable if error.key is not None}
    noted.retain(known)
    for error in known.values():
        noted.note(error)
    kept = (one for key in known if (one := cache.get(key)) is not None)
    cache.replace_all([*found, *kept], version)
