"""Environments that a test adds, and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from localcluster import LocalCluster
from nightcrawler_crds import names
from tests.support.builders import EnvironmentBuilder
from tests.support.team import Team

Json = dict[str, Any]
Add = Callable[[EnvironmentBuilder], None]

_GPU: Final[Json] = {
    "resource": "nvidia.com/gpu",
    "model": "NVIDIA-A100-SXM4-80GB",
    "capacity": 8,
    "free": 5,
    "largestFree": 5,
}
OBSERVED: Final[Json] = {
    "nodes": 1,
    "readyNodes": 1,
    "capacity": {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "8"},
    "free": {"cpu": "61500m", "memory": "502Gi", "nvidia.com/gpu": "5"},
    "gpus": [_GPU],
    "running": 2,
    "waiting": 1,
    "conditions": [{"type": "Ready", "status": "True", "reason": "NodesReady", "message": "1 node ready"}],
}
"""A status as the operator writes it."""


@pytest.fixture
def add_environment(cluster: LocalCluster) -> Iterator[Add]:
    """Adds an Environment that goes with the test."""
    everywhere, added = Team(cluster, "default"), list[str]()

    def add(environment: EnvironmentBuilder) -> None:
        everywhere.apply(environment)
        added.append(environment.name)

    yield add
    for name in added:
        if everywhere.get(names.ENVIRONMENTS, name):
            everywhere.delete(names.ENVIRONMENTS, name)


def change(team: Team, environment: str, **spec: Any) -> None:
    """Change the spec of an Environment."""
    team.cluster.api.merge(team.path(names.ENVIRONMENTS, environment), {"spec": spec})
