"""Migrations: what they make is what the facade reads, once and for all versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from nightcrawler_api.archive import tables
from nightcrawler_api.archive.migrate import MigrationError, config, migrate
from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.state.runs import ExecutionQuery
from tests.support.archives import desk, sqlite_archive


def test_migrations_make_the_tables_that_the_facade_reads(tmp_path: Path) -> None:
    engine = create_engine(sqlite_archive(tmp_path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        scripts = ScriptDirectory.from_config(config(connection))
        assert scripts.get_current_head() == tables.HEAD
    engine.dispose()


def test_a_second_migration_has_nothing_to_do_and_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    assert "there were none" in migrate(url)
    assert migrate(url) == f"the archive's tables are up to date (version {tables.HEAD})"
    set_version(url, "9999")
    assert "9999" in migrate(url)


def set_version(url: str, version: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    engine.dispose()


async def test_a_schema_that_is_missing_or_too_old_is_said_with_what_to_do(tmp_path: Path) -> None:
    async def complaint(url: str) -> str:
        async with desk(url) as made:
            with pytest.raises(HistoryUnavailable) as caught:
                await made.reader.page(ExecutionQuery(), None, skip=0, most=1)
            return caught.value.detail

    assert "no tables yet" in await complaint(f"sqlite:///{tmp_path / 'empty.db'}")
    assert "run `nightcrawler-api migrate`" in await complaint(f"sqlite:///{tmp_path / 'empty.db'}")
    old = sqlite_archive(tmp_path, "old.db")
    set_version(old, "0000")
    assert "of an earlier version (0000" in await complaint(old)
    set_version(old, "9999")
    async with desk(old) as made:
        assert (await made.reader.page(ExecutionQuery(), None, skip=0, most=1)).total == 0


def run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTCRAWLER_", "KUBE"))}
    program = Path(sys.executable).parent / "nightcrawler-api"
    given = {f"NIGHTCRAWLER_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [str(program), *arguments], env=clean | given, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_command_migrates_and_says_why_it_cannot(tmp_path: Path) -> None:
    done = run("migrate", archive_url=f"sqlite:///{tmp_path / 'archive.db'}")
    assert (done.returncode, "are of version" in done.stderr) == (0, True)
    refused = run("migrate", archive_url=f"sqlite:///{tmp_path / 'nowhere' / 'archive.db'}")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "cannot be opened" in refused.stderr
    assert "NIGHTCRAWLER_ARCHIVE_URL" in run("migrate").stderr
    secret = run("migrate", archive_url="mysql://user:secret@host/db")
    assert (secret.returncode, "secret" in secret.stderr) == (2, False)
    assert "Accepted: sqlite:" in secret.stderr


def test_a_database_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(MigrationError, match="is damaged"):
        migrate(f"sqlite:///{tmp_path / 'file.db'}")


def test_without_an_archive_no_sql_is_imported() -> None:
    script = (
        "import sys; from nightcrawler_api.app import create_app; from nightcrawler_api.settings import "
        "Settings; "
        "import nightcrawler_api.__main__; from tests.support.modelstore import ModelStore; "
        "from tests.support.modelserver import ModelServer; create_app(Settings(), "
        "ModelStore(ModelServer())); "
        "print([m for m in sys.modules if m.split('.')[0] in ('sqlalchemy', 'alembic', 'psycopg', "
        "'sqlite3')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
