"""How busy the GPUs of Pods are, asked of a Prometheus that scrapes NVIDIA's DCGM exporter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp
import msgspec

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_PODS: Final = (("exported_namespace", "exported_pod"), ("namespace", "pod"))
"""Labels that name the Pod; exported_ where Prometheus adds those of the exporter's own Pod."""


class PrometheusError(Exception):
    """Prometheus cannot be asked, or answers something else; the message says what."""


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] = (0.0, "")


class _Data(msgspec.Struct):
    result: list[_Series] = []


class _Answer(msgspec.Struct):
    status: str = ""
    error: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_decoder = msgspec.json.Decoder(_Answer)


class Settings(Protocol):
    """Where it is."""

    @property
    def prometheus_url(self) -> str | None:
        """Its address; None for none."""
        ...

    @property
    def prometheus_gpu_query(self) -> str:
        """What it is asked."""
        ...


def prometheus_of(settings: Settings) -> Prometheus | None:
    """The one that the settings name, if any."""
    url = settings.prometheus_url
    return Prometheus(url, settings.prometheus_gpu_query) if url else None


class Prometheus:
    """One that is asked for the utilisation of all GPUs at once."""

    def __init__(self, url: str, query: str) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._query = query
        self._session: aiohttp.ClientSession | None = None

    async def gpu_utilisation(self) -> Mapping[tuple[str, str], float]:
        """The mean of a Pod's GPUs in percent, by namespace and name of the Pod.

        Raises:
            PrometheusError: It cannot be asked.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            async with self._session.get(self._url, params={"query": self._query}) as response:
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PrometheusError(
                f"{self._url} cannot be reached: {str(error) or type(error).__name__}"
            ) from error
        try:
            answer = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise PrometheusError(
                f"{self._url} answers {status}, and not as Prometheus does: {error}"
            ) from error
        if answer.status != "success":
            raise PrometheusError(f"{self._url} answers {status}: {answer.error or 'it gives no reason'}")
        return _by_pod(answer.data.result)

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()


def _by_pod(series: list[_Series]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], list[float]] = {}
    for one in series:
        pod = _pod_of(one.metric)
        percent = _number(one.value[1])
        if pod is not None and percent is not None:
            found.setdefault(pod, []).append(percent)
    return {pod: sum(values) / len(values) for pod, values in found.items()}


def _pod_of(labels: Mapping[str, str]) -> tuple[str, str] | None:
    for namespace, name in _PODS:
        if labels.get(name):
            return labels.get(namespace, ""), labels[name]
    return None  # a GPU that no Pod has, or one that is shared in time


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
