"""The kinds of runs in the soak's load, and the result that each must have."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nightcrawler_crds import names
from tests.bench.engines import DURATION
from tests.bench.shapes import Shape, chain, diamond

_EXIT_CODE: Final = "kwok.nightcrawler.dev/exit-code"
_LONG: Final = 3_600.0
_RETRY_DELAY: Final = "1s"


class Fault(enum.Enum):
    """What the soak injects into a run once its first Pod runs."""

    NONE = "none"
    FAIL = "fail"
    DISRUPT = "disrupt"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of run.

    Attributes:
        share: How many of a hundred runs are of this kind.
        phase: The phase in which it must end.
        pods: How many Pods each step must have had; 1 for a step that is not named.
        exit_code: The exit code of the first step's Pods.
        first_seconds: How long the first step's Pods run, if not as long as the others.
    """

    name: str
    share: int
    shape: Shape
    phase: str = "Completed"
    fault: Fault = Fault.NONE
    pods: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    exit_code: int = 0
    first_seconds: float | None = None

    def pods_of(self, step: str) -> int:
        """How many Pods a step must have had at the end."""
        return self.pods.get(step, 1)


KINDS: Final = (
    Kind(name="one", share=46, shape=chain(1, 1.0)),
    Kind(name="chain", share=14, shape=chain(5, 0.5)),
    Kind(name="dag", share=20, shape=diamond(1.0)),
    Kind(
        name="retried",
        share=8,
        shape=chain(2, 1.0),
        fault=Fault.FAIL,
        retries=1,
        pods={"step-0": 2},
        first_seconds=_LONG,
    ),
    Kind(
        name="failing",
        share=6,
        shape=chain(2, 1.0),
        phase="Failed",
        retries=1,
        pods={"step-0": 2, "step-1": 0},
        exit_code=3,
    ),
    Kind(
        name="disrupted",
        share=3,
        shape=chain(2, 2.0),
        fault=Fault.DISRUPT,
        pods={"step-0": 2},
        first_seconds=_LONG,
    ),
    Kind(
        name="cancelled",
        share=3,
        shape=chain(2, 1.0),
        phase="Cancelled",
        fault=Fault.CANCEL,
        pods={"step-1": 0},
        first_seconds=_LONG,
    ),
)
"""First Pods with a fault run until it is injected; their second attempt is completed as a success."""


_TOLD: Final = ("start", "complete", "fail", "cancel", "retry")


def manifest(kind: Kind, name: str, history: int, *, emails: bool = False) -> dict[str, Any]:
    """A Workflow of this kind.

    `history` is how many completed runs, and how many others, it keeps; with `emails`, messages are sent
    of what happens to its runs.
    """
    steps = []
    for number, step in enumerate(kind.shape.steps):
        seconds = kind.shape.seconds
        annotations = {}
        if number == 0:
            seconds = kind.first_seconds or seconds
            annotations = {_EXIT_CODE: str(kind.exit_code)} if kind.exit_code else {}
        template = {"metadata": {"annotations": {DURATION: f"{seconds:g}s", **annotations}}}
        written: dict[str, Any] = {"name": step.name, "image": "busybox:1", "podTemplate": template}
        if kind.retries and number == 0:
            written |= {"retries": kind.retries, "retryDelay": _RETRY_DELAY}
        if not kind.shape.is_chain:
            written["dependsOn"] = list(step.after)
        steps.append(written)
    spec: dict[str, Any] = {"history": {"completed": history, "failed": history}, "steps": steps}
    if emails:
        spec["config"] = {"notifications": {"email": True}, "notificationEvents": [*_TOLD]}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": spec,
    }


def mixture(seed: int) -> Iterator[Kind]:
    """Kinds by their shares, endlessly, in an order that the seed determines."""
    order = random.Random(seed)
    while True:
        hundred = [kind for kind in KINDS for _ in range(kind.share)]
        order.shuffle(hundred)
        yield from hundred
