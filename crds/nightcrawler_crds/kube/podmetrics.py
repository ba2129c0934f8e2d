"""What Pods use, as the API group metrics.k8s.io reports it (metrics-server, or an adapter of its kind)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from nightcrawler_crds import names
from nightcrawler_crds.words.quantities import read_quantity

_SPAN: Final = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9.]+)s)?(?:([0-9.]+)ms)?")
_USUAL_WINDOW: Final = 15.0


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class PodMetricsMeta(_Read, frozen=True):
    """The Pod; it has no UID here."""

    name: str = ""
    namespace: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)


class UsedAmounts(_Read, frozen=True):
    """What a container uses."""

    cpu: str = ""
    memory: str = ""


class ContainerMetrics(_Read, frozen=True):
    """A container of a Pod."""

    name: str
    usage: UsedAmounts = UsedAmounts()


class PodMetricsView(_Read, frozen=True):
    """What a Pod uses: an average over `window` before `timestamp`."""

    metadata: PodMetricsMeta
    timestamp: datetime
    window: str = ""
    containers: tuple[ContainerMetrics, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What a step used: cores, over the `window` seconds before `at`, and bytes then."""

    at: datetime
    window: float
    cpu: float
    memory: float


def sample_of(metrics: PodMetricsView) -> Sample | None:
    """What the step's container of a Pod used; None if it is not reported."""
    own = next((one.usage for one in metrics.containers if one.name == names.STEP_CONTAINER), None)
    if own is None or not own.cpu or not own.memory:
        return None
    return Sample(
        metrics.timestamp, _seconds(metrics.window), read_quantity(own.cpu), read_quantity(own.memory)
    )


def _seconds(window: str) -> float:
    """A span as Go writes it: 15.34s, 1m0s, 900ms."""
    found = _SPAN.fullmatch(window)
    if found is None or not window:
        return _USUAL_WINDOW
    hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
