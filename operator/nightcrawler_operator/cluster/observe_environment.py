"""From the caches to one frozen snapshot of an Environment, with the time in it."""

from __future__ import annotations

from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.snapshot import EnvironmentSnapshot


def observe_environment(
    cluster: ClusterState, environment: EnvironmentView, *, all_runs: bool
) -> EnvironmentSnapshot | None:
    """What there is of an Environment; None while the Pods of its nodes are being listed.

    Args:
        cluster: The caches.
        environment: The Environment.
        all_runs: Whether all runs of the cluster are in the caches, and not those of one namespace.
    """
    free, failure = cluster.room.free(cluster.node_facts.rooms), cluster.room.informer.failure
    if free is None and not failure:
        return None
    running, waiting = cluster.environment_changes.runs_in(environment.metadata.name)
    return EnvironmentSnapshot(
        now=utcnow(),
        environment=environment,
        nodes=cluster.node_facts,
        free=free,
        unknown=failure,
        running=running if all_runs else None,
        waiting=waiting if all_runs else None,
    )
