"""Measures what steps use: one request for all our Pods now and then, and one for their GPUs.

Every replica measures, so that one that takes over knows what a long step has used. A step is never delayed
by it: what was measured when it ends is recorded with its end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from nightcrawler_crds import errors, names
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.kube.podmetrics import PodMetricsView, sample_of
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.prometheus import Prometheus, PrometheusError
from nightcrawler_operator.cluster.state import ClusterState

log = logging.getLogger(__name__)

PERIOD: Final = 15.0
"""Seconds between two requests; metrics-server does not measure more often."""
_IDLE: Final = 1.0
"""Seconds until it looks again whether anything runs; that is no request."""
_PAUSE: Final = 300.0
"""Seconds until a source that is not there is asked again."""


class Metrics(Protocol):
    """Counts requests that failed."""

    def usage_failed(self, source: str) -> None:
        """A source could not be asked."""
        ...


class UsageCollector:
    """Asks metrics.k8s.io, and Prometheus if there is one, as long as there are live executions."""

    def __init__(
        self,
        store: Store,
        cluster: ClusterState,
        namespace: str,
        *,
        gpus: Prometheus | None,
        metrics: Metrics,
        period: float = PERIOD,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._namespace = namespace
        self._gpus = gpus
        self._metrics = metrics
        self._period = period
        self._pods_from = self._gpus_from = float("-inf")
        self._explained: set[str] = set()

    async def run(self) -> None:
        """Measure until cancelled."""
        try:
            while True:
                if len(self._cluster.executions):
                    await self.measure()
                    await asyncio.sleep(self._period)
                else:
                    self._cluster.usage.keep_only(())
                    await asyncio.sleep(min(_IDLE, self._period))
        finally:
            if self._gpus is not None:
                await self._gpus.close()

    async def measure(self) -> None:
        """Measure once."""
        now = asyncio.get_running_loop().time()
        if now >= self._pods_from:
            self._pods_from = now + await self._measure_pods()
        if self._gpus is not None and now >= self._gpus_from:
            self._gpus_from = now + await self._measure_gpus(self._gpus)
        self._cluster.usage.keep_only([pod.metadata.key for pod in self._cluster.pods.cache])

    async def _measure_pods(self) -> float:
        """Ask for CPU and memory; returns for how long not to ask again."""
        try:
            found = await self._store.list_all(
                names.POD_METRICS,
                self._namespace,
                PodMetricsView,
                label_selector=names.LABEL_EXECUTION_UID,
                on_unreadable=lambda error: log.debug("metrics of a Pod cannot be read: %s", error),
            )
        except errors.NotFound:
            self._explain(
                "metrics",
                "CPU and memory of steps are not measured: the cluster does not serve metrics.k8s.io; "
                "install metrics-server, or set NIGHTCRAWLER_USAGE=false",
            )
            return _PAUSE
        except errors.Forbidden as error:
            self._explain("metrics", f"CPU and memory of steps are not measured: {error}")
            self._metrics.usage_failed("metrics")
            return _PAUSE
        except errors.ApiError as error:
            self._explain("metrics", f"CPU and memory of steps cannot be measured now: {error}")
            self._metrics.usage_failed("metrics")
            return 0.0
        self._explained.discard("metrics")
        for metrics in found:
            if (sample := sample_of(metrics)) is not None:
                self._cluster.usage.add(metrics.metadata.key, sample)
        return 0.0

    async def _measure_gpus(self, gpus: Prometheus) -> float:
        """Ask for GPUs; returns for how long not to ask again."""
        try:
            found = await gpus.gpu_utilisation()
        except PrometheusError as error:
            self._explain("prometheus", f"GPUs of steps cannot be measured now: {error}")
            self._metrics.usage_failed("prometheus")
            return 0.0
        self._explained.discard("prometheus")
        now = utcnow()
        for pod in self._cluster.pods.cache:
            percent = found.get(pod.metadata.key)
            if percent is not None:
                self._cluster.usage.add_gpu(pod.metadata.key, percent, now, self._period)
        return 0.0

    def _explain(self, source: str, sentence: str) -> None:
        """Say what is wrong with a source, once until it works again."""
        if source not in self._explained:
            self._explained.add(source)
            log.warning("%s", sentence)
