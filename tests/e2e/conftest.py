"""One installation on a real node for the whole session; its start takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.real_node import Installation, installation


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Cluster, operator and facade, with the Environments of the examples."""
    with installation(tmp_path_factory.mktemp("real-node")) as made:
        yield made


@pytest.fixture
def elsewhere(here: Installation) -> Iterator[str]:
    """A namespace of the test's own, for what must not meet other runs; the facade serves another."""
    name = f"test-{uuid4().hex[:8]}"
    here.kubectl("create", "namespace", name)
    yield name
    here.kubectl("delete", "namespace", name, "--wait=false")
