"""Reconciles an Environment: writes its status, which shows what is free in it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_operator.cluster.observe_environment import observe_environment
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.environment import decide
from nightcrawler_operator.keys import EnvironmentKey
from nightcrawler_operator.limits import Limits
from nightcrawler_operator.plan import Done, Outcome, Waiting

_SOON: Final = 1.0


class EnvironmentReconciler:
    """Writes the status of Environments if it has changed, each at most once in `environment_status_spacing`.

    With `all_runs` it counts their runs too: operators that watch a namespace each share the Environments,
    and would overwrite each other's counts.
    """

    wake_delay = _SOON  # what changes together, or shortly after each other, shares a write

    def __init__(self, store: Store, cluster: ClusterState, limits: Limits, *, all_runs: bool) -> None:
        self._store = store
        self._cluster = cluster
        self._spacing = limits.environment_status_spacing
        self._all_runs = all_runs
        self._written: dict[str, float] = {}

    def all_keys(self) -> list[EnvironmentKey]:
        """Every Environment."""
        return [EnvironmentKey(environment.metadata.name) for environment in self._cluster.environments]

    async def reconcile(self, key: EnvironmentKey) -> Outcome:
        """Write the status if it has changed; returns when to requeue.

        Raises:
            ApiError: The API server refused or is unreachable.
        """
        environment = self._cluster.environments.get(("", key.name))
        if environment is None or environment.metadata.deletion_timestamp is not None:
            self._cluster.environment_changes.taken(key.name)
            self._written.pop(key.name, None)
            return Done()
        too_soon = self._written.get(key.name, float("-inf")) + self._spacing - time.monotonic()
        if too_soon > 0:
            return _in(too_soon)  # it stays queued, so that no change queues it earlier
        self._cluster.environment_changes.taken(key.name)
        snapshot = observe_environment(self._cluster, environment, all_runs=self._all_runs)
        if snapshot is None:
            return _in(_SOON)
        plan = decide(snapshot)
        if plan.status and not await self._write(environment, plan.status):
            return _in(_SOON)
        return plan.outcome

    async def _write(self, environment: EnvironmentView, status: dict[str, Any]) -> bool:
        """Write a change of the status; False on a conflict, after which it is to be decided again."""
        meta = environment.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "status": status}
        self._written[meta.name] = time.monotonic()
        try:
            written = await self._store.patch(
                names.ENVIRONMENTS, "", meta.name, body, EnvironmentView, subresource="status"
            )
        except errors.Conflict:
            # Nothing was written; the watch may not have reported yet what has changed.
            del self._written[meta.name]
            fresh = await self._store.get(names.ENVIRONMENTS, "", meta.name, EnvironmentView)
            self._cluster.environments.upsert(fresh)
            return False
        except errors.NotFound:
            self._cluster.environments.forget(meta.key, meta.uid, meta.version)
            return True
        self._cluster.environments.upsert(written)
        return True


def _in(seconds: float) -> Waiting:
    return Waiting(utcnow() + timedelta(seconds=seconds))
