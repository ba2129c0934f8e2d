"""Simulated nodes: two with GPUs for the whole session, and a test's own beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from localcluster import FakeNode, LocalCluster

GPU_NODES: Final = ("gpu-1", "gpu-2")
"""The session's nodes, each with eight GPUs."""
PRODUCT: Final = "NVIDIA-A100-SXM4-80GB"


@pytest.fixture(scope="session")
def nodes(cluster: LocalCluster) -> tuple[str, ...]:
    """The session's nodes; created for the first test that needs them."""
    cluster.add_fake_nodes(*(FakeNode(name, gpus=8, product=PRODUCT) for name in GPU_NODES))
    return GPU_NODES


@pytest.fixture
def add_node(cluster: LocalCluster) -> Iterator[Callable[[FakeNode], None]]:
    """Adds a node that is deleted after the test."""
    added: list[str] = []

    def add(node: FakeNode) -> None:
        added.append(node.name)
        cluster.add_fake_nodes(node)

    yield add
    for name in added:
        if cluster.api.exists(f"/api/v1/nodes/{name}"):
            cluster.remove_node(name)
