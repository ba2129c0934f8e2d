"""What runs workflows and can be measured: the same load goes through each `Engine`.

`nightcrawler` is ours; another one lets `make bench-compare` put figures side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from localcluster import LocalCluster
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.names import Resource
from tests.bench.programs import Program
from tests.bench.shapes import Shape

NAMESPACE = "default"
"""Everything of the bench is in it."""
DURATION = "kwok.nightcrawler.dev/duration"
"""A Pod's annotation: how long kwok simulates it to run, such as `0.1s`."""
Settings = Mapping[str, object]
NO_SETTINGS: Final[Settings] = {}

PodKey = tuple[str, str]
"""Run and step."""


class Meta(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The metadata that `timing` reads of objects of any engine."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = "0"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)

    @property
    def version(self) -> int:
        """The resourceVersion as a number."""
        return int(self.resource_version)


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one kind, by label or field."""

    resource: Resource
    label_selector: str = ""
    field_selector: str = ""


@dataclass(frozen=True, slots=True)
class Defined:
    """A workflow that can be run."""

    name: str
    uid: str
    shape: Shape


class Engine(Protocol):
    """One way to run workflows.

    Attributes:
        name: The name of its process in the usage, and the user agent (up to a slash) in the audit log.
        live: Its runs that have not ended: a run has ended when it has left this selection.
        failed: Its runs that have ended badly.
        tidy: Settings with which it soon cleans up after a run; none if it leaves ended Pods where they are.
        in_place_of_others: Writes (`Asked.text`) that a controller of Kubernetes would make otherwise.
    """

    name: str
    live: Selection
    failed: Selection
    tidy: Settings
    in_place_of_others: frozenset[str]

    def install(self, cluster: LocalCluster) -> None:
        """Create its custom resources, and wait until they are served."""
        ...

    def start(self, cluster: LocalCluster, log: Path, settings: Settings) -> Program:
        """Start its process; `settings` by lower-case name, as the engine knows them."""
        ...

    async def works(self, store: Store, cluster: LocalCluster) -> bool:
        """Whether the process that was started last works by now."""
        ...

    async def define(self, store: Store, name: str, shape: Shape) -> Defined:
        """Create a workflow; it runs nothing yet."""
        ...

    async def submit(self, store: Store, workflow: Defined, name: str) -> None:
        """Ask for one run under this name; returns once the API server has accepted it."""
        ...

    async def settled(self, store: Store) -> bool:
        """Whether nothing is left to do for the runs so far, all of which have ended; needs `tidy`."""
        ...

    def step_of(self, pod: Meta) -> PodKey | None:
        """Which run and step a Pod belongs to; None if to none."""
        ...
