"""Alembic's environment: it runs migrations on the connection that `migrate` gives it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from nightcrawler_api.archive.tables import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
context.run_migrations()
