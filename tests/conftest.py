"""What all tests share."""

import asyncio

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.skips", "tests.support.workers", "tests.support.budget"]


# How long an example takes depends on what else the machine does.
settings.register_profile(
    "unhurried", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; see to it that no event loop is made that nobody closes."""
    config.addinivalue_line("markers", "real_node: needs containers that really run (root, containerd)")
    # pytest-asyncio asks for the current loop, and asyncio makes one unless None was set.
    asyncio.set_event_loop(None)
