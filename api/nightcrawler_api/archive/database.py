"""The archive's database: an engine, used in threads of its own, with its errors in plain words.

Each piece of work is one transaction. Those that read see one state of the database, however many statements
they have; there is one that writes at a time, also among replicas, so that rows become visible in the order
of their keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nightcrawler_api.archive import tables
from nightcrawler_api.archive.problems import NO_SCHEMA, OLD_SCHEMA, TOO_SLOW, is_about_content, sentence
from nightcrawler_api.errors import HistoryUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]
_Kind = Literal["writes", "reads", "alone"]
"""Of a transaction: one that may write, one that reads, or one statement that reads and is not within any."""

READ_SECONDS: Final = 5.0
"""How long a request may wait for the archive."""
_WRITE_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5
_READERS: Final = 2
_WRITE_LOCK: Final = 0x6E696768
"""The advisory lock of PostgreSQL that the one who writes holds."""
_QUIET_SECONDS: Final = 1.0
"""After a piece of work that took too long, the next is tried only so much later."""
_SQLITE_CACHE_KIB: Final = 8_192

_READS: Final = (
    # Compiling takes longer than all that is asked here.
    f"SET LOCAL statement_timeout = {int(READ_SECONDS * 1000)}; SET LOCAL jit = off"
)
_READ_ONLY: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {_READS}"
_READ_WRITE: Final = (
    f"BEGIN; SET LOCAL statement_timeout = {int(_WRITE_SECONDS * 1000)}; "
    # A run is pruned once it is archived: no server may have it in memory alone by then.
    "SELECT set_config('synchronous_commit', 'local', true) "
    "WHERE current_setting('synchronous_commit') = 'off'; "
    f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
)


class NotStorable(HistoryUnavailable):
    """The database does not take what was to be stored."""


class Database:
    """Opens connections when they are needed; `close` it at the end.

    Attributes:
        is_sqlite: Whether it is a file of this machine, which one facade alone may use.
        writes: How many transactions of this process may have changed it.
    """

    def __init__(self, url: str) -> None:
        self._url = with_driver(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._reading = self._writing = _sqlite(self._url)
        else:
            self._writing, self._reading = _postgresql(self._url), _postgresql_reads(self._url)
        self._readers = ThreadPoolExecutor(_READERS, "archive-read")
        self._writer = ThreadPoolExecutor(1, "archive-write")
        self.writes = 0
        self._has_schema = False
        self._closed_until = 0.0

    @property
    def path(self) -> str:
        """The file of an SQLite database."""
        return self._url.database or ""

    async def read(self, work: Work[T], *, alone: bool = False) -> T:
        """Do something in a transaction that only reads.

        With `alone`, the work is one statement, which reads one state by itself. To begin and to end a
        transaction would be round trips of their own.

        Raises:
            HistoryUnavailable: The database cannot be used, or not in time.
        """
        if time.monotonic() < self._closed_until:
            raise HistoryUnavailable(TOO_SLOW)
        try:
            async with asyncio.timeout(READ_SECONDS + 1):
                return await self._run(self._readers, work, "alone" if alone else "reads")
        except TimeoutError:
            # Its thread may still wait for the network: what follows it must not queue up behind it.
            self._closed_until = time.monotonic() + _QUIET_SECONDS
            raise HistoryUnavailable(TOO_SLOW) from None

    async def write(self, work: Work[T]) -> T:
        """Do something in a transaction that may write; raises as `read` does."""
        return await self._run(self._writer, work, "writes")

    async def _run(self, threads: ThreadPoolExecutor, work: Work[T], kind: _Kind) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, self._in_transaction, work, kind)

    def _in_transaction(self, work: Work[T], kind: _Kind) -> T:
        try:
            try:
                return self._done(work, kind)
            except DBAPIError as error:
                if kind != "alone" or not error.connection_invalidated:
                    raise
                # As in `_begun`, of what nothing is sent to begin it.
                return self._done(work, kind)
        except SQLAlchemyError as error:
            # Somebody may have replaced the database by one without tables.
            self._has_schema = False
            if is_about_content(error):
                raise NotStorable(sentence(error)) from error
            raise HistoryUnavailable(sentence(error)) from error

    def _done(self, work: Work[T], kind: _Kind) -> T:
        with self._begun(kind) as connection:
            if not self._has_schema:
                check_schema(connection)
                self._has_schema = True
            done = work(connection)
            connection.commit()
            self.writes += kind == "writes"
            return done

    def _begun(self, kind: _Kind, *, again: bool = True) -> Connection:
        """A connection in a transaction, which ends with it."""
        engine = self._writing if kind == "writes" else self._reading
        connection = engine.connect().execution_options(kind=kind)
        try:
            connection.begin()
        except DBAPIError as error:
            connection.close()
            if again and error.connection_invalidated:
                # The database has closed it since it was last used. So this costs no request of its own.
                return self._begun(kind, again=False)
            raise
        return connection

    async def close(self) -> None:
        """Finish what is under way, and close all connections."""
        for threads in (self._readers, self._writer):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        for engine in (self._reading, self._writing):
            engine.dispose()


def with_driver(url: str) -> URL:
    """A database's URL with the driver that is used for it."""
    parsed = make_url(url)
    drivers = {
        "sqlite": "sqlite+pysqlite",
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
    }
    return parsed.set(drivername=drivers[parsed.drivername.partition("+")[0]])


def engine_of(url: str) -> Engine:
    """An engine for one command."""
    parsed = with_driver(url)
    return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)


def check_schema(connection: Connection) -> None:
    """Raise `HistoryUnavailable` unless all tables that this version needs are there."""
    try:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DBAPIError as error:
        if sentence(error) == NO_SCHEMA:
            raise HistoryUnavailable(NO_SCHEMA) from error
        raise
    if version is None:
        raise HistoryUnavailable(NO_SCHEMA)
    if version < tables.HEAD:
        raise HistoryUnavailable(OLD_SCHEMA.format(version=version, needed=tables.HEAD))


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=_READERS + 1, connect_args={"timeout": READ_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        # The driver begins no transaction by itself: only so do several statements read one state.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",  # who reads does not wait for who writes
            "synchronous = FULL",  # a run is pruned once it is archived
            "foreign_keys = ON",
            f"cache_size = -{_SQLITE_CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # One that reads first and then writes could fail at its first write.
        kind = connection.get_execution_options().get("kind")
        if kind != "alone":
            connection.exec_driver_sql("BEGIN IMMEDIATE" if kind == "writes" else "BEGIN")

    return engine


def _postgresql(url: URL, **more: Any) -> Engine:
    engine = create_engine(
        url,
        pool_size=_READERS,
        pool_recycle=1800,
        connect_args={
            "autocommit": True,  # each transaction is begun below, with its settings in one round trip
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": int(_WRITE_SECONDS * 1000),
            "prepare_threshold": None,  # prepared statements do not pass through every proxy
            **more,
        },
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        kind = options.get("kind")
        if kind == "alone":
            return
        statements = _READ_WRITE if kind == "writes" else _READ_ONLY
        if options.get("migrates"):
            statements = f"{_READ_WRITE}; SET LOCAL statement_timeout = 0"  # it may copy tables
        # Through SQLAlchemy: only its errors are translated and retried. An error of the driver would end the
        # task that writes.
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})

    return engine


def _postgresql_reads(url: URL) -> Engine:
    """An engine for reads: a statement that is alone is sent with its settings, as one transaction.

    The driver puts the values into the text: only so does the server take several statements at once.
    """
    from psycopg import ClientCursor  # noqa: PLC0415 - not loaded for SQLite

    engine = _postgresql(url, cursor_factory=ClientCursor)

    def is_alone(connection: Connection) -> bool:
        return connection.get_execution_options().get("kind") == "alone"

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def with_settings(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        return f"{_READS}; {statement}" if is_alone(connection) else statement, parameters

    @event.listens_for(engine, "after_cursor_execute")
    def skip_settings(connection: Connection, cursor: Any, *_: Any) -> None:
        while is_alone(connection) and cursor.nextset():
            pass

    return engine
