"""Views of all Pods of the nodes, for the room that is left there.

A cluster may have tens of thousands of Pods, so each is a few hundred bytes: what identifies it, its node,
and what it asks for, which it shares with all that ask for the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from nightcrawler_crds.kube.sharing import share
from nightcrawler_crds.words.quantities import parse_quantity

Requests = tuple[tuple[str, float], ...]
"""Resources with their amounts in cores, bytes and devices, in the order of their names."""

_MAX_SHARED: Final = 10_000
"""Clear the table at this size, and with it what no Pod asks for any more."""
_shared: dict[Requests, Requests] = {}


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
    resources: RequestsView | None = None
    overhead: dict[str, str] | None = None
    requests: Requests = ()

    def __post_init__(self) -> None:
        """Add up: containers and side-cars, or one init container if that asks for more.

        What the Pod asks for as a whole comes before that; then the overhead of its runtime is added.
        """
        share(self, "node_name")
        side_cars = [one for one in self.init_containers if one.restart_policy == "Always"]
        total = _added(_asked(one.resources) for one in (*self.containers, *side_cars))
        for one in self.init_containers:
            if one.restart_policy != "Always":
                for name, amount in _asked(one.resources).items():
                    total[name] = max(total.get(name, 0.0), amount)
        if self.resources is not None:
            total |= _asked(self.resources)
        if self.overhead:
            total = _added([total, _numbers(self.overhead)])
        msgspec.structs.force_setattr(self, "requests", _one_of(total))
        for field, nothing in (("containers", ()), ("init_containers", ()), ("resources", None)):
            msgspec.structs.force_setattr(self, field, nothing)
        msgspec.structs.force_setattr(self, "overhead", None)


def _asked(resources: RequestsView) -> dict[str, float]:
    return _numbers({**resources.limits, **resources.requests})


def _numbers(written: Mapping[str, str]) -> dict[str, float]:
    return {name: parse_quantity(text) for name, text in written.items()}


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0.0) + amount
    return total


def _one_of(total: Mapping[str, float]) -> Requests:
    """The amounts, as one tuple for all Pods that ask for the same."""
    if len(_shared) >= _MAX_SHARED:
        _shared.clear()
    asked = tuple(sorted((sys.intern(name), amount) for name, amount in total.items() if amount))
    return _shared.setdefault(asked, asked)


class AskingPodMeta(_Read, frozen=True):
    """What identifies a Pod."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: int = 0

    def __post_init__(self) -> None:
        """Intern repeated strings."""
        share(self, "namespace")

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)

    @property
    def version(self) -> int:
        """The resourceVersion, which grows with every change."""
        return self.resource_version


class AskingPodView(_Read, frozen=True):
    """A Pod of anybody's that takes room on a node."""

    metadata: AskingPodMeta
    spec: AskingPodSpec = AskingPodSpec()
