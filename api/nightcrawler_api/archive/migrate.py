"""`nightcrawler-api migrate`: makes the archive's tables, or brings them up to date. Alembic lives here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from nightcrawler_api.archive.database import engine_of
from nightcrawler_api.archive.problems import sentence
from nightcrawler_api.archive.tables import HEAD
from nightcrawler_crds.errors import NightcrawlerError

_SCRIPTS: Final = Path(__file__).parent / "migrations"


class MigrationError(NightcrawlerError):
    """The tables cannot be migrated; the message says why."""


def migrate(url: str) -> str:
    """Bring the tables of a database up to date; returns what was done, as a sentence.

    All or nothing, and one at a time: a second one waits, and finds nothing to do. A schema that is newer
    than this version is left alone.

    Raises:
        MigrationError: The database cannot be reached or changed.
    """
    engine = engine_of(url)
    try:
        with (
            engine.connect().execution_options(kind="writes", migrates=True) as connection,
            connection.begin(),
        ):
            return _migrate(connection)
    except SQLAlchemyError as error:
        raise MigrationError(sentence(error)) from error
    except CommandError as error:
        raise MigrationError(f"the archive's tables cannot be migrated: {error}") from error
    finally:
        engine.dispose()


def _migrate(connection: Connection) -> str:
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and before >= HEAD:
        return f"the archive's tables are up to date (version {before})"
    command.upgrade(config(connection), HEAD)
    return f"the archive's tables are of version {HEAD} now; before, {before or 'there were none'}"


def config(connection: Connection) -> Config:
    """Alembic's configuration for the migrations here, on a connection."""
    made = Config()
    made.set_main_option("script_location", str(_SCRIPTS))
    made.attributes["connection"] = connection
    return made
