"""The gauges: what is read from the queue, the election and the caches when Prometheus scrapes."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sized
from typing import get_args

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.election.leadership import Leadership
from nightcrawler_crds.kube.views import EnvironmentView
from nightcrawler_crds.v1alpha1 import DutyName, conditions
from nightcrawler_crds.words.quantities import parse_quantity
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.decisions.schedules.snapshot import has_schedule
from nightcrawler_operator.lanes import Lanes


def environment_metrics(environments: Iterable[EnvironmentView]) -> Iterator[Metric]:
    """What the status of each Environment says; every replica knows it from its cache."""
    ready = GaugeMetricFamily(
        "nightcrawler_environment_ready",
        "1 for the status of each Environment's condition Ready, and its reason.",
        labels=["environment", "status", "reason"],
    )
    capacity = GaugeMetricFamily(
        "nightcrawler_environment_capacity",
        "What the nodes of each Environment have, in cores, bytes and devices.",
        labels=["environment", "resource"],
    )
    free = GaugeMetricFamily(
        "nightcrawler_environment_free",
        "What no Pod requests on the ready nodes of each Environment, in cores, bytes and devices.",
        labels=["environment", "resource"],
    )
    runs = GaugeMetricFamily(
        "nightcrawler_environment_runs",
        "Live runs of each Environment, by whether they have started: running or waiting.",
        labels=["environment", "state"],
    )
    for environment in environments:
        name, status = environment.metadata.name, environment.status
        for condition in status.conditions:
            if condition.type == conditions.READY:
                ready.add_metric([name, condition.status, condition.reason], 1)
        for family, amounts in ((capacity, status.capacity), (free, status.free)):
            for resource, amount in (amounts or {}).items():
                family.add_metric([name, resource], parse_quantity(amount))
        for state, count in (("running", status.running), ("waiting", status.waiting)):
            if count is not None:
                runs.add_metric([name, state], count)
    return iter((ready, capacity, free, runs))


class Gauges(Collector):
    """Gauges, read from the queue, the election and the caches at each scrape."""

    def __init__(self, queue: Lanes, leadership: Leadership, cluster: ClusterState, events: Sized) -> None:
        self._events = events
        self._queue = queue
        self._leadership = leadership
        self._cluster = cluster

    def describe(self) -> Iterator[Metric]:
        """Nothing: otherwise the registry would collect to learn the names, before the event loop runs."""
        return iter(())

    @override
    def collect(self) -> Iterator[Metric]:
        """Read all."""
        yield from self._queue_metrics()
        yield GaugeMetricFamily(
            "nightcrawler_events_waiting", "Kubernetes Events to be recorded.", len(self._events)
        )
        yield from self._cache_metrics()
        yield from self._places_metrics()
        yield self._schedule_metrics()
        yield from environment_metrics(self._cluster.environments)
        leads, changes = self._leadership.is_leader, self._leadership.leader_changes
        yield GaugeMetricFamily("nightcrawler_operator_leader", "1 if this process leads, else 0.", leads)
        yield CounterMetricFamily(
            "nightcrawler_operator_leader_changes",
            "How often the Lease was seen to change its holder.",
            changes,
        )

    def _queue_metrics(self) -> Iterator[Metric]:
        prefix, queue = "nightcrawler_operator_queue_", self._queue
        yield GaugeMetricFamily(f"{prefix}depth", "Keys that wait for a worker.", len(queue))
        yield GaugeMetricFamily(f"{prefix}in_process", "Keys being reconciled.", queue.in_process)
        yield GaugeMetricFamily(f"{prefix}delayed", "Keys queued for a later time.", queue.delayed)
        yield GaugeMetricFamily(
            f"{prefix}oldest_seconds", "How long the oldest key has waited.", queue.oldest_age
        )
        yield CounterMetricFamily(f"{prefix}adds", "Keys added.", queue.added)
        yield CounterMetricFamily(f"{prefix}retries", "Keys requeued after a failure.", queue.retried)

    def _places_metrics(self) -> Iterator[Metric]:
        places = self._cluster.places
        oldest = places.oldest()
        yield GaugeMetricFamily(
            "nightcrawler_executions_in_line", "Executions that wait for a place under limits.", len(places)
        )
        yield GaugeMetricFamily(
            "nightcrawler_executions_in_line_oldest_seconds",
            "Age of the oldest execution that waits for a place under limits.",
            (utcnow() - oldest).total_seconds() if oldest is not None else 0.0,
        )

    def _schedule_metrics(self) -> Metric:
        scheduled = [workflow for workflow in self._cluster.workflows if has_schedule(workflow)]
        suspended = sum(bool(workflow.spec.get("suspend")) for workflow in scheduled)
        schedules = GaugeMetricFamily(
            "nightcrawler_schedules",
            "Workflows with a schedule, by whether it is suspended.",
            labels=["suspended"],
        )
        schedules.add_metric(["false"], len(scheduled) - suspended)
        schedules.add_metric(["true"], suspended)
        return schedules

    def _cache_metrics(self) -> Iterator[Metric]:
        cluster, now = self._cluster, time.monotonic()
        phases = Tally(execution.status.phase or "Pending" for execution in cluster.executions)
        executions = GaugeMetricFamily(
            "nightcrawler_executions", "Executions that have not ended, by phase.", labels=["phase"]
        )
        for phase in ("Pending", "Running", "Cancelling"):
            executions.add_metric([phase], phases[phase])
        yield executions
        owed = Tally(duty for execution in cluster.owing for duty in execution.status.duties or ())
        duties = GaugeMetricFamily(
            "nightcrawler_duties_owed",
            "Duties of ended executions that are not done, by duty.",
            labels=["duty"],
        )
        for duty in get_args(DutyName):
            duties.add_metric([duty], owed[duty])
        yield duties
        objects = GaugeMetricFamily(
            "nightcrawler_operator_informer_objects", "Objects in the caches, by kind.", labels=["kind"]
        )
        silence = GaugeMetricFamily(
            "nightcrawler_operator_informer_silence_seconds",
            "Time since the API server last sent anything about this kind; it does at least once a minute.",
            labels=["kind"],
        )
        unreadable = GaugeMetricFamily(
            "nightcrawler_operator_unreadable_objects",
            "Objects that exist and cannot be parsed, by kind; the log names them and the field.",
            labels=["kind"],
        )
        others = (cluster.room.informer,) if cluster.room.is_followed else ()
        for informer in (*cluster.informers, *others):
            objects.add_metric([informer.title], len(informer.cache))
            silence.add_metric([informer.title], now - informer.last_contact)
            unreadable.add_metric([informer.title], len(informer.unreadable))
        for resource, ours in cluster.unreadable.items():
            unreadable.add_metric([resource.kind], len(ours))
        yield objects
        yield silence
        yield unreadable
