"""Ends of Pods, as a kubelet writes them: for a Pod that is to end at once, whatever kwok would do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from nightcrawler_crds import clock, names
from nightcrawler_crds.kube.store import Store
from tests.bench.engines import NAMESPACE
from tests.bench.load import side_by_side

_AT_ONCE: Final = 16


class _Nothing(msgspec.Struct):
    """A response whose content is not needed."""


async def end_pod(store: Store, pod: str, code: int) -> None:
    """Let the program in a Pod's step end with an exit code; raises as the store does."""
    body = {"status": ended(code)}
    await store.patch(names.PODS, NAMESPACE, pod, body, _Nothing, subresource="status")


async def end_pods(store: Store, pods: Iterable[str]) -> None:
    """Let the programs in these Pods end well, a few at a time."""
    await side_by_side((end_pod(store, pod, 0) for pod in pods), _AT_ONCE)


def ended(code: int) -> dict[str, Any]:
    """A Pod's status as a kubelet writes it at the end of its program."""
    now = clock.to_wire(clock.utcnow())
    state = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "startedAt": now,
        "finishedAt": now,
    }
    container = {
        "name": names.STEP_CONTAINER,
        "image": "busybox:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": state},
    }
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
