"""The informer: it lists, watches, carries on from where it was, and never gives up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nightcrawler_crds import errors, names
from nightcrawler_crds.kube.cache import OnChange
from nightcrawler_crds.kube.informer import Informer
from nightcrawler_crds.kube.nativeviews import JobView
from tests.support.scriptedstore import GONE, Listed, Script, Watch, an_object, event
from tests.support.virtualtime import virtual_time


async def run(script: Script, on_change: OnChange[JobView] | None = None) -> Informer[JobView]:
    """The informer after it has come to the end of the script."""
    informer = Informer(script, names.JOBS, JobView, on_change=on_change)
    task = asyncio.create_task(informer.run())
    await script.over.wait()
    task.cancel()
    await asyncio.wait([task])
    return informer


def state(informer: Informer[JobView]) -> dict[str, int]:
    return {job.metadata.name: job.metadata.version for job in informer.cache}


@virtual_time
async def test_an_informer_lists_and_then_watches_from_the_lists_version() -> None:
    script = Script([[(7, [an_object(3)])]], [[event("MODIFIED", 8), event("ADDED", 9, "b")]])

    informer = await run(script)

    assert state(informer) == {"a": 8, "b": 9}
    assert script.asked[:2] == ["list", "watch from 7"]
    assert informer.synced.is_set()


@virtual_time
async def test_all_pages_are_one_list_as_of_the_first() -> None:
    script = Script([[(7, [an_object(3)]), (8, [an_object(4, "b")])]], [[]])

    informer = await run(script)

    assert state(informer) == {"a": 3, "b": 4}
    assert script.asked[:2] == ["list", "watch from 7"]


@virtual_time
async def test_a_watch_that_ends_is_resumed_from_the_last_event() -> None:
    script = Script([[(7, [])]], [[event("ADDED", 8)], [event("DELETED", 9)]])

    informer = await run(script)

    assert state(informer) == {}
    assert script.asked == ["list", "watch from 7", "watch from 8", "watch from 9"]


@virtual_time
async def test_a_bookmark_moves_the_version_from_which_a_watch_resumes() -> None:
    bookmark = json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}}).encode()
    script = Script([[(7, [])]], [[bookmark], []])

    await run(script)

    assert script.asked == ["list", "watch from 7", "watch from 50", "watch from 50"]


@virtual_time
async def test_an_expired_watch_lists_again_and_reports_what_vanished() -> None:
    script = Script(
        [[(7, [an_object(3), an_object(4, "b")])], [(90, [an_object(80)])]], [errors.Gone("too old")]
    )
    reported: list[tuple[int, int]] = []

    def tell(old: JobView | None, new: JobView | None) -> None:
        reported.append((old.metadata.version if old else 0, new.metadata.version if new else 0))

    informer = await run(script, tell)

    assert state(informer) == {"a": 80}
    assert reported == [(0, 3), (0, 4), (3, 80), (4, 0)]


@virtual_time
async def test_a_watch_may_expire_by_an_event() -> None:
    script = Script([[(7, [])], [(90, [an_object(80)])]], [[event("ADDED", 8, "b"), GONE]])

    assert state(await run(script)) == {"a": 80}
    assert script.asked == ["list", "watch from 7", "list", "watch from 90"]


@virtual_time
async def test_an_unreachable_api_server_is_retried() -> None:
    away = errors.Unavailable("connection refused")
    script = Script([away, away, away, [(7, [])]], [away, away, [event("ADDED", 8)]])

    informer = await run(script)

    assert state(informer) == {"a": 8}
    assert script.asked.count("list") == 4
    assert script.asked.count("watch from 7") == 3


@virtual_time
async def test_retries_of_an_unreachable_api_server_back_off() -> None:
    loop = asyncio.get_running_loop()
    away: list[list[Listed] | Exception] = [errors.Unavailable("refused") for _ in range(20)]
    script = Script([*away, [(7, [])]], [])
    began = loop.time()

    await run(script)

    # 0.1 s doubled up to 10 s, twenty times: about 140 s, a fifth more or less.
    assert 100 < loop.time() - began < 180


@virtual_time
async def test_an_unreadable_line_does_not_end_an_informer() -> None:
    script = Script([[(7, [])]], [[b'{"type": "ADDED", "object": {"metadata": 5}}'], [event("ADDED", 8)]])

    assert state(await run(script)) == {"a": 8}


@virtual_time
async def test_a_broken_watch_is_not_followed_by_a_list() -> None:
    script = Script([[(7, [])]], [errors.Unavailable("silent for too long"), [event("ADDED", 8)]])

    await run(script)

    assert script.asked.count("list") == 1


@virtual_time
async def test_watches_that_worked_until_they_broke_are_resumed_at_once() -> None:
    loop = asyncio.get_running_loop()
    cut = errors.Unavailable("reset")
    watches: list[Watch | Exception] = [[event("MODIFIED", 8 + number), cut] for number in range(20)]
    quiet: list[Watch | Exception] = [[30.0, cut] for _ in range(20)]
    began = loop.time()

    await run(Script([[(7, [])]], watches + quiet))

    assert loop.time() - began < 20 * 30 + 8


@virtual_time
async def test_watches_that_end_at_once_are_resumed_after_a_pause() -> None:
    loop = asyncio.get_running_loop()
    script = Script([[(7, [])]], [[] for _ in range(10)])
    began = loop.time()

    await run(script)

    assert loop.time() - began >= 1


@virtual_time
async def test_an_unreadable_object_does_not_hide_the_others() -> None:
    broken: dict[str, Any] = {"metadata": {**an_object(2, "broken")["metadata"], "labels": 5}}
    changed = json.dumps({"type": "MODIFIED", "object": broken}).encode()
    script = Script([[(10, [broken, an_object(3)])]], [[changed, event("ADDED", 12, "b")]])
    informer = Informer(script, names.JOBS, JobView)
    running = asyncio.create_task(informer.run())
    await script.over.wait()
    running.cancel()
    assert sorted(job.metadata.name for job in informer.cache) == ["a", "b"]


def unreadable(kind: str, version: int) -> bytes:
    body = {**an_object(version), "status": {"conditions": 5}}
    return json.dumps({"type": kind, "object": body}).encode()


async def after(lines: Watch, *, keep: bool) -> Informer[JobView]:
    script = Script([[(7, [an_object(3)])]], [lines])
    informer = Informer(script, names.JOBS, JobView, keep_unreadable=keep)
    task = asyncio.create_task(informer.run())
    await script.over.wait()
    task.cancel()
    await asyncio.wait([task])
    assert script.asked[2].startswith("watch from "), "it goes on from the last event that it received"
    return informer


@virtual_time
async def test_an_object_that_becomes_unreadable_is_removed() -> None:
    informer = await after([unreadable("MODIFIED", 8)], keep=False)
    assert state(informer) == {}
    assert len(informer.unreadable) == 1

    informer = await after([unreadable("MODIFIED", 8), event("MODIFIED", 9)], keep=False)
    assert state(informer) == {"a": 9}
    assert len(informer.unreadable) == 0


@virtual_time
async def test_an_object_that_becomes_unreadable_is_kept_on_request() -> None:
    informer = await after([unreadable("MODIFIED", 8)], keep=True)
    assert state(informer) == {"a": 3}
    assert len(informer.unreadable) == 1

    informer = await after([unreadable("MODIFIED", 8), unreadable("DELETED", 9)], keep=True)
    assert state(informer) == {}
    assert len(informer.unreadable) == 0


@virtual_time
@pytest.mark.parametrize("keep", [True, False])
async def test_an_object_that_never_was_readable_is_kept_on_request(keep: bool) -> None:
    broken = {**an_object(5, "b"), "status": {"conditions": 5}}
    script = Script([[(7, [an_object(3), broken])]], [])
    informer = Informer(script, names.JOBS, JobView, keep_unreadable=keep)
    task = asyncio.create_task(informer.run())
    await script.over.wait()
    task.cancel()
    assert state(informer) == ({"a": 3, "b": 5} if keep else {"a": 3})
    assert len(informer.unreadable) == 1
