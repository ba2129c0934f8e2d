"""Archives for tests: databases with the tables in them, and what reads and fills them in one process."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nightcrawler_api.archive import writing
from nightcrawler_api.archive.contract import ArchivedRevision
from nightcrawler_api.archive.database import Database
from nightcrawler_api.archive.migrate import migrate
from nightcrawler_api.archive.reader import ArchiveReader
from nightcrawler_api.archive.writing import EndedRun, Place
from nightcrawler_api.state.clustercache import ClusterCache
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import ExecutionView
from tests.support.modelserver import ModelServer
from tests.support.modelstore import ModelStore

NAMESPACE: Final = "default"
PLACE: Final = Place("uid-of-the-cluster", NAMESPACE)
NOW: Final = datetime(2025, 7, 10, 18, 0, tzinfo=UTC)


@functools.cache
def _template() -> Path:
    """A migrated SQLite database, made once in a process."""
    file = Path(tempfile.mkdtemp(prefix="nightcrawler-archive-")) / "template.db"
    migrate(f"sqlite:///{file}")
    return file


def sqlite_archive(folder: Path, name: str = "archive.db") -> str:
    """The URL of a new SQLite database with all tables."""
    file = folder / name
    shutil.copy(_template(), file)
    return f"sqlite:///{file}"


@dataclass(frozen=True)
class Desk:
    """A facade's cache and its archive, without the facade."""

    cluster: ClusterCache
    database: Database
    reader: ArchiveReader

    async def archive(
        self, *runs: ExecutionView, used: Sequence[ArchivedRevision] = (), now: datetime = NOW
    ) -> int:
        """Write executions, as the archiver does: those of each namespace in a transaction."""
        ended: dict[str, list[EndedRun]] = {}
        for run in runs:
            ended.setdefault(run.metadata.namespace, []).append(EndedRun(run, tuple(run.status.steps)))
        written = 0
        for namespace, some in ended.items():
            place = Place(PLACE.cluster, namespace)
            written += await self.database.write(
                lambda c, p=place, s=some: writing.add_runs(c, p, s, used, now)  # type: ignore[misc]
            )
        return written


@asynccontextmanager
async def desk(
    url: str, store: Store | None = None, others: Collection[str] | None = (), hidden: str | None = None
) -> AsyncIterator[Desk]:
    """A cache that holds nothing yet, and the archive at a URL; of further namespaces, or of all (None)."""
    cluster = ClusterCache(store or ModelStore(ModelServer()), NAMESPACE, others, hidden)
    database = Database(url)
    reader = ArchiveReader(database, cluster)
    reader.identity = PLACE.cluster
    try:
        yield Desk(cluster, database, reader)
    finally:
        await database.close()
