"""Kept logs in S3: what holds of a folder holds there; what is wrong is said in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from nightcrawler_api.errors import HistoryUnavailable
from nightcrawler_api.keptlogs.cleaner import Cleaner
from nightcrawler_api.keptlogs.objects import Objects
from nightcrawler_api.keptlogs.record import Where
from nightcrawler_api.keptlogs.store import LogStore
from tests.support.s3 import S3Server, s3

# What the unit tests show of a folder holds here too.
from tests.unit.test_keptlogs import (
    test_the_last_lines_are_those_that_the_api_shows,
    test_what_is_too_long_keeps_its_beginning_and_its_end_with_a_mark_between,
)

__all__ = [
    "s3",
    "test_the_last_lines_are_those_that_the_api_shows",
    "test_what_is_too_long_keeps_its_beginning_and_its_end_with_a_mark_between",
]


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, and the environment that leads to it."""
    for variable, value in s3.variables.items():
        monkeypatch.setenv(variable, value)
    return s3.new_bucket()


@pytest.fixture
def objects(bucket: str) -> Objects:
    """An empty store."""
    return LogStore(f"s3://{bucket}/a/prefix")


@pytest.fixture
def away(s3: S3Server) -> Iterator[None]:
    """The server does not answer."""
    s3.stop()
    yield
    s3.start()


async def test_objects_are_put_read_listed_and_deleted_under_the_prefix(bucket: str) -> None:
    store, other = LogStore(f"s3://{bucket}/logs"), LogStore(f"s3://{bucket}/other")
    folder = Where("cluster", "default", "uid", "A step", 1).folder
    names = [f"{folder}/{number:08}.log" for number in range(1_100)]  # more than a page of S3's
    for name in names:
        await store.put(name, name.encode())
    assert await store.get(names[7]) == names[7].encode()
    assert [await store.get("cluster/run/none"), await other.get(names[7])] == [None, None]
    listed = sorted([one.path async for part in store.list() for one in part])
    assert listed == names
    await store.delete([*names[:3], f"{folder}/none"])
    assert await store.get(names[0]) is None
    await store.put("of/somebody/else.log", b"1")
    now = datetime.now(UTC)  # noqa: TID251 - the store's own clock
    cleaner = Cleaner(store, most_bytes=1 << 30, keep_seconds=60)
    await cleaner.clean(now)
    assert (cleaner.removed, cleaner.stored_bytes) == (0, sum(map(len, names[3:])))
    await cleaner.clean(now + timedelta(hours=1))
    assert [one.path async for part in store.list() for one in part] == ["of/somebody/else.log"]


async def test_a_bucket_that_is_not_there_and_a_wrong_secret_are_told_from_a_missing_log(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HistoryUnavailable, match="bucket"):
        await LogStore("s3://no-such-bucket/logs").put("a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for work in (LogStore(f"s3://{bucket}/logs").put("a", b"1"), LogStore(f"s3://{bucket}/logs").get("a")):
        with pytest.raises(HistoryUnavailable, match=r"the log store cannot be used: .*(?i:signature|403)"):
            await work


async def test_a_server_that_is_away_is_said_to_be(objects: Objects, away: None) -> None:
    with pytest.raises(HistoryUnavailable, match="the log store cannot be used"):
        await objects.put("a", b"1")
