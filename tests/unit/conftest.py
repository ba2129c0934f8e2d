"""What the unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.archives import sqlite_archive


@pytest.fixture
def archive_url(tmp_path: Path) -> str:
    """The URL of an archive in SQLite with all tables; the integration tests have one in PostgreSQL."""
    return sqlite_archive(tmp_path)
