"""Views of all Pods of the nodes, for the room that is left there: a node's name and a few numbers each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import msgspec

from nightcrawler_crds.kube.metadata import Meta
from nightcrawler_crds.kube.sharing import share
from nightcrawler_crds.words.quantities import parse_quantity


class _Read(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The base of views, which are read only."""


class RequestsView(_Read, frozen=True):
    """What a container asks for; what it only limits it asks for too."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class AskingContainer(_Read, frozen=True):
    """A container of any Pod."""

    resources: RequestsView = RequestsView()
    restart_policy: str = ""


class AskingPodSpec(_Read, frozen=True):
    """A Pod's node and what it takes of it; containers are added up while decoding, and not kept."""

    node_name: str = ""
    containers: tuple[AskingContainer, ...] = ()
    init_containers: tuple[AskingContainer, ...] = ()
    overhead: dict[str, str] = {}
    requests: dict[str, float] = {}

    def __post_init__(self) -> None:
        """Add up: containers and side-cars, or one init container if that asks for more."""
        share(self, "node_name")
        side_cars = [one for one in self.init_containers if one.restart_policy == "Always"]
        total = _added(_asked(one) for one in (*self.containers, *side_cars))
        for one in self.init_containers:
            if one.restart_policy != "Always":
                for name, amount in _asked(one).items():
                    total[name] = max(total.get(name, 0.0), amount)
        total = _added([total, _numbers(self.overhead)])
        kept = {sys.intern(name): amount for name, amount in total.items() if amount}
        msgspec.structs.force_setattr(self, "requests", kept)
        for field in ("containers", "init_containers"):
            msgspec.structs.force_setattr(self, field, ())


def _asked(container: AskingContainer) -> dict[str, float]:
    return _numbers({**container.resources.limits, **container.resources.requests})


def _numbers(written: Mapping[str, str]) -> dict[str, float]:
    return {name: parse_quantity(text) for name, text in written.items()}


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total


class AskingPodView(_Read, frozen=True):
    """A Pod of anybody's that takes room on a node."""

    metadata: Meta
    spec: AskingPodSpec = AskingPodSpec()
