"""Whose turn it is: who holds the lock of a file of this machine, or a Lease.

What is kept is fenced besides, by transactions of the database and by resourceVersions.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nightcrawler_api.keeping.keeper import Report, Work
from nightcrawler_crds.election.elector import Elector, LeaseTerms
from nightcrawler_crds.election.holder import Witness, own_holder
from nightcrawler_crds.kube.store import Store

_RETRY_SECONDS: Final = 2.0


class FileTurn:
    """The turn of who holds a lock beside a file: an SQLite database is for one facade alone."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def run(self, work: Work, report: Report) -> None:
        """See `keeper.Turn`."""
        async with self._locked(report):
            await work()

    @asynccontextmanager
    async def _locked(self, report: Report) -> AsyncGenerator[None, None]:
        """Hold the lock within the block; the kernel releases it when the process ends, however it does."""
        while (descriptor := self._try(report)) is None:  # noqa: ASYNC110 - who unlocks it tells nobody
            await asyncio.sleep(_RETRY_SECONDS)
        report("")
        try:
            yield
        finally:
            os.close(descriptor)

    def _try(self, report: Report) -> int | None:
        file = Path(f"{self._path}.lock")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            why = f"the file {file} cannot be opened: {error.strerror}"
            report(f"{why}; NIGHTCRAWLER_ARCHIVE_URL says where it is")
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            report(
                f"another facade uses {self._path}: an archive in SQLite is for one alone; stop the other "
                "one, or use PostgreSQL"
            )
            return None
        return descriptor


class LeaseTurn:
    """The turn of who holds a Lease."""

    def __init__(self, store: Store, terms: LeaseTerms) -> None:
        self._elector = Elector(
            store, terms, Witness(store, own_holder()), on_started=self._start, on_stopped=self._stop
        )
        self._work: Work | None = None
        self._task: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] | None = None

    async def run(self, work: Work, report: Report) -> None:
        """See `keeper.Turn`; an error of the work ends it."""
        report("")
        self._work = work
        self._failed = asyncio.get_running_loop().create_future()
        election = asyncio.create_task(self._elector.run(), name="election of who keeps")
        try:
            await asyncio.wait({election, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            await (self._failed if self._failed.done() else election)
        finally:
            # First the work, then the Lease: once that is released, another replica begins.
            self._stop()
            if self._task is not None:
                await asyncio.gather(self._task, return_exceptions=True)
            election.cancel()
            await asyncio.gather(election, return_exceptions=True)
            self._failed.cancel()

    def _start(self) -> None:
        assert self._work is not None, "it takes part only while it runs"
        self._task = asyncio.create_task(self._work(), name="keeping")
        self._task.add_done_callback(self._ended)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        failed = self._failed
        if not task.cancelled() and (error := task.exception()) and failed is not None and not failed.done():
            failed.set_exception(error)
