"""Kept logs: every line once and in order, what is missing marked; whatever the kubelet still has."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightcrawler_api.keptlogs import writer as writing
from nightcrawler_api.keptlogs.cleaner import Cleaner
from nightcrawler_api.keptlogs.objects import Objects
from nightcrawler_api.keptlogs.reader import find
from nightcrawler_api.keptlogs.record import ROTATED, UNFINISHED, Record, Where, mark_of
from nightcrawler_api.keptlogs.store import LogStore
from nightcrawler_api.keptlogs.writer import Writer
from nightcrawler_api.logs.place import Place
from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.errors import Forbidden
from tests.support.keptsite import BEGAN, MIB, NAMESPACE, WHERE, Site


@pytest.fixture(params=["memory", "folder"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store."""
    return LogStore("memory:///" if request.param == "memory" else (tmp_path / "logs").as_uri())


actions = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 12)),
    st.tuples(st.just("rotate"), st.integers(0, 6)),
    st.tuples(st.sampled_from(["look", "look, away"]), st.none() | st.integers(0, 3)),
    st.tuples(st.just("time"), st.integers(0, 4)),
)


@settings(max_examples=150)
@given(st.lists(actions, max_size=30))
def test_every_line_that_the_node_still_had_is_kept_once_in_order_and_gaps_are_marked(
    story: list[tuple[str, int | None]],
) -> None:
    async def play() -> None:
        site, now = Site(), BEGAN
        lost: set[int] = set()
        seen = 0
        for what, count in story:
            match what:
                case "write":
                    site.node.write(count or 0, now)
                case "rotate":
                    file = max(len(site.node.lines) - (count or 0), site.node.file)
                    site.node.file = file
                case "time":
                    now += timedelta(seconds=count or 0, milliseconds=1)
                case _:
                    lost |= set(range(seen, site.node.file))
                    await site.look(count, is_away=what == "look, away")
                    if count is None:
                        seen = len(site.node.lines)
        lost |= set(range(seen, site.node.file))
        done = await site.end()
        assert done.metadata.annotations.done_duties == ("Logs",)
        kept = await site.kept() if site.node.lines else []
        numbers = [int(line.split()[1]) for line in kept if mark_of(line) is None]
        assert numbers == sorted(set(numbers)), "twice, or out of order"
        missing = set(range(len(site.node.lines))) - set(numbers)
        assert missing <= lost, "a line that the node still had"
        # Every gap between two kept lines has its mark.
        for before, line, after in zip(kept, kept[1:], kept[2:], strict=False):
            if mark_of(line) is None and mark_of(before) is None:
                assert int(line.split()[1]) == int(before.split()[1]) + 1, kept
            del after
        log = await find(site.objects, site.where)
        if numbers and numbers[-1] + 1 < len(site.node.lines):
            assert log is not None
            assert log.record.missing_end == ROTATED, "nothing says that the end may be missing"

    asyncio.run(play())


async def test_a_run_that_is_being_cancelled_is_read_at_once() -> None:
    site = Site()
    for informer in site.cluster._informers:
        informer.synced.set()
    keeping = asyncio.create_task(site._collector.run())
    try:
        async with asyncio.timeout(10):  # less than the period at which other runs are read
            site.node.write(2, BEGAN)
            await site.objects.written.wait()
            assert len(await site.kept()) == 2
            site.objects.written.clear()
            site.node.write(3, BEGAN)
            site.server.patch(names.EXECUTIONS, (NAMESPACE, "run"), {"spec": {"cancel": True}})
            site.cluster.cache_execution(site.view())
            await site.objects.written.wait()
        assert len(await site.kept()) == 5
    finally:
        keeping.cancel()


async def test_what_is_too_long_keeps_its_beginning_and_its_end_with_a_mark_between(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    record = Record("A step", 1)
    for begin in range(0, 400, 40):
        # As another process each time.
        made = Writer(objects, WHERE, (await find(objects, WHERE) or _Nothing(record)).record, (2, 2))
        for number in range(begin, begin + 40):
            await made.add(b"%05d" % number, Place(1, 0, number + 1, number), after_gap=False)
        await made.save()
    log = await find(objects, WHERE)
    assert log is not None
    lines = [line async for part in log.lines() for line in part]
    (cut,) = [place for place, line in enumerate(lines) if mark_of(line)]
    numbers = [[int(line) for line in part] for part in (lines[:cut], lines[cut + 1 :])]
    assert numbers[0] == list(range(len(numbers[0])))
    assert numbers[1] == list(range(400 - len(numbers[1]), 400))
    assert 0 < len(numbers[0]) < 60
    assert 0 < len(numbers[1]) < 80
    left = [one.path async for part in objects.list() for one in part]
    assert len(left) <= 5 + 1
    assert log.record.bytes + log.record.cut == 400 * 6


@dataclass
class _Nothing:
    record: Record


async def test_the_last_lines_are_those_that_the_api_shows(objects: Objects) -> None:
    made = Writer(objects, WHERE, Record("A step", 1), (32, 32))
    for number in range(3_000):
        line = f"2025-07-10T14:45:{number % 60:02}.5Z line {number} {'x' * 500}".encode()
        await made.add(line, Place(1, 0, number + 1, number), after_gap=number == 2_999)
    await made.save()
    log = await find(objects, WHERE)
    assert log is not None
    lines, whole = await log.last_lines(1_000, 10 * MIB)
    assert (len(lines), whole) == (1_000, True)
    assert lines[-1]["message"].startswith("line 2999")
    assert lines[-2]["level"] == "warning"
    lines, whole = await log.last_lines(1_000, 100_000)
    assert (whole, 150 < len(lines) < 200) == (False, True)
    assert len(list(log.record.chunks())) > 1, "they came from several objects"


async def test_the_oldest_go_first_when_all_is_too_much_and_what_is_too_old_goes(objects: Objects) -> None:
    for number in range(4):
        where = Where("cluster", NAMESPACE, f"run-{number}", "A step", 1)
        made = Writer(objects, where, Record("A step", 1), (32, 32))
        await made.add(b"x" * 1_000, Place(1), after_gap=False)
        await made.save()
        await asyncio.sleep(0.01)  # the store's clock tells which is older

    async def left() -> list[str]:
        paths = [one.path async for part in objects.list() for one in part]
        assert set(others) <= set(paths), "what is no log stays"
        return sorted({path.split("/")[2] for path in paths if path not in others})

    others = ["notes.txt", "cluster/default/run-0/results.log", "a/b/c/d/e/00000001.log"]
    for path in others:
        await objects.put(path, b"x" * 5_000)
    now = datetime.now(UTC)  # noqa: TID251 - the store's own clock
    cleaner = Cleaner(objects, most_bytes=3_000, keep_seconds=3600)
    await cleaner.clean(now)
    assert (await left(), cleaner.removed) == (["run-2", "run-3"], 2)
    await Cleaner(objects, most_bytes=MIB, keep_seconds=3600).clean(now + timedelta(hours=2))
    assert await left() == []


OTHER: Final = "other"


@pytest.mark.parametrize("others", [(OTHER,), None])
async def test_logs_of_all_namespaces_that_are_served_are_kept_and_noted(
    others: tuple[str, ...] | None,
) -> None:
    site = Site(others=others)
    there = site.add(OTHER)
    site.node.write(3, BEGAN)
    await site.look()
    assert [len(await site.kept(where)) for where in (site.where, there)] == [3, 3]
    site.node.write(2, BEGAN)
    for namespace in (OTHER, NAMESPACE):
        site.has_ended(namespace=namespace)
    await site._collector._read_due()
    for where in (site.where, there):
        assert len(await site.kept(where)) == 5
        assert site.view(where.namespace).metadata.annotations.done_duties == ("Logs",)


async def test_missing_rights_in_one_namespace_hold_up_the_logs_of_no_other() -> None:
    site = Site(others=[OTHER])
    there = site.add(OTHER)
    site.closed.add(OTHER)
    site.node.write(3, BEGAN)
    await site.look()
    assert len(await site.kept()) == 3
    for namespace in (OTHER, NAMESPACE):
        site.has_ended(namespace=namespace)
    for _ in range(2):
        with pytest.raises(Forbidden, match="not allowed in other"):
            await site._collector._read_due()
    assert site.view().metadata.annotations.done_duties == ("Logs",)
    assert site.view(OTHER).metadata.annotations.done_duties == ()
    site.closed.clear()
    await site._collector._read_due()
    assert len(await site.kept(there)) == 3
    assert site.view(OTHER).metadata.annotations.done_duties == ("Logs",)


async def test_of_a_pod_that_vanished_what_was_read_is_kept_and_its_end_is_said_to_be_missing() -> None:
    site = Site()
    site.node.write(5, BEGAN)
    await site.look()
    site.server.delete(names.PODS, (NAMESPACE, "pod"), grace=0)
    status = {
        "phase": "Failed",
        "settled": False,
        "duties": ["Logs"],
        "completionTime": "2025-07-10T15:00:00Z",
    }
    site.server.patch(names.EXECUTIONS, (NAMESPACE, "run"), {"status": status}, "status")
    site.cluster.cache_execution(site.view())
    assert await site._collector._finish(site.view())
    log = await find(site.objects, site.where)
    assert log is not None
    assert (log.record.complete, log.record.missing_end) == (True, UNFINISHED)
    assert [line.split()[1] for line in await site.kept()] == [b"%d" % number for number in range(5)]
    assert site.view().metadata.annotations.done_duties == ("Logs",)


async def test_of_a_log_whose_newest_file_is_empty_the_end_is_said_to_be_missing_perhaps() -> None:
    """The kubelet has started another file after the last line; which it was, nobody can see any more."""
    site = Site()
    site.node.write(5, BEGAN)
    await site.look()
    site.node.write(3, BEGAN)
    site.node.file = len(site.node.lines)
    await site.end()
    log = await find(site.objects, site.where)
    assert log is not None
    assert (log.record.complete, log.record.missing_end, log.record.gaps) == (True, ROTATED, 1)
    assert site._collector.gaps == 1
    assert len(await site.kept()) == 5


async def test_of_an_evicted_pod_without_containers_what_was_read_is_kept_and_its_end_is_missing() -> None:
    site = Site()
    site.node.write(5, BEGAN)
    await site.look()
    site.pod_has("Failed", terminated={"exitCode": 137, "reason": "ContainerStatusUnknown"})
    site.node.has_containers = False
    await site.end("Failed")
    log = await find(site.objects, site.where)
    assert log is not None
    assert (log.record.complete, log.record.missing_end) == (True, UNFINISHED)
    assert [line.split()[1] for line in await site.kept()] == [b"%d" % number for number in range(5)]


async def test_of_a_log_that_is_cut_every_reading_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNK_BYTES", 1_000)
    site = Site()
    for _ in range(12):
        site.node.write(200, BEGAN)  # about nine chunks, of sixty-four
        await site.look()
        (last,) = (await site.kept())[-1:]
        assert last == b"line %d" % (len(site.node.lines) - 1)
    assert site._collector.kept_bytes == sum(len(line) + 1 for line in site.node.served(None))
    numbers = [int(line.split()[1]) for line in await site.kept() if mark_of(line) is None]
    assert numbers == sorted(set(numbers))
    assert 60_000 < sum(len(line) + 32 for line in await site.kept()) < 70_000


@pytest.mark.parametrize(("before", "is_marked"), [(0.5, False), (60.0, True)])
async def test_where_a_file_must_have_been_filled_before_the_first_line_there_is_a_mark(
    before: float, *, is_marked: bool
) -> None:
    site = Site()
    site.pod_has("Running", running={"startedAt": to_wire(BEGAN)})
    begin = BEGAN + timedelta(seconds=before)
    for number in range(3_000):  # 330 KB in a second, so 20 MB in a minute
        site.node.lines.append((begin + timedelta(milliseconds=number / 3), b"%d " % number + b"x" * 80))
    await site.look()
    kept = await site.kept()
    assert len(kept) == 3_000 + is_marked
    assert (mark_of(kept[0]) is not None) == is_marked


PASSWORD: Final = b"hunter2000"


def secure_site(*, revision: bool = True) -> Site:
    """A run whose workflow has `secureSecrets`, and whose step reads a password from a Secret."""
    site = Site(masked=True)
    password = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    data = {
        "steps": [{"name": "A step", "image": "i", "env": [password]}],
        "config": {"security": {"secureSecrets": True}},
    }
    if revision:
        site.server.create(
            names.REVISIONS, {"metadata": {"name": "rev", "namespace": NAMESPACE}, "data": data}
        )
    secret = {"password": base64.b64encode(PASSWORD).decode()}
    site.server.create(names.SECRETS, {"metadata": {"name": "db", "namespace": NAMESPACE}, "data": secret})
    recorded = {"status": {"phase": "Running", "revision": "rev"}}
    site.server.patch(names.EXECUTIONS, (NAMESPACE, "run"), recorded, "status")
    site.cluster.cache_execution(site.view())
    return site


async def test_the_values_of_secrets_are_masked_before_a_line_is_kept() -> None:
    site = secure_site()
    coloured = b"\x1b[1mhunter\x1b[0m2000"
    for number, text in enumerate((b"connecting with " + PASSWORD, b"or " + coloured, b"connected")):
        site.node.lines.append((BEGAN + timedelta(seconds=number), text))
    await site.end()

    assert await site.kept() == [b"connecting with ***", b"or ***", b"connected"]
    stored = [await site.objects.get(one.path) async for part in site.objects.list() for one in part]
    assert stored
    assert not [content for content in stored if PASSWORD in (content or b"")]


async def test_a_log_that_cannot_be_masked_is_not_kept_and_the_run_goes_on_owing_it() -> None:
    site = secure_site(revision=False)
    site.node.lines.append((BEGAN, b"connecting with " + PASSWORD))
    await site.look()
    assert not await site._collector._finish(site.view())

    assert await find(site.objects, site.where) is None
    assert site.view().metadata.annotations.done_duties == ()
