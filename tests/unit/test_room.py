"""What is free on the nodes: all Pods are followed while there are Environments, and then forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Final

from nightcrawler_crds.planning.nodes import NodeRoom
from nightcrawler_operator.cluster.room import Room
from tests.support.scriptedstore import Script
from tests.support.virtualtime import virtual_time

Json = dict[str, Any]
NODE: Final = NodeRoom("n", {}, {"cpu": 8.0, "memory": 64.0, "pods": 3.0})


def a_pod(version: int, name: str = "a", *, cpu: str = "1", node: str = "n", phase: str = "Running") -> Json:
    meta = {"name": name, "namespace": "theirs", "uid": f"u-{name}", "resourceVersion": str(version)}
    container = {"resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": meta,
        "spec": {"nodeName": node, "containers": [container]},
        "status": {"phase": phase},
    }


def event(kind: str, pod: Json) -> bytes:
    return json.dumps({"type": kind, "object": pod}).encode()


class Watched:
    """A room whose API server follows a script, and how often it has reported a change."""

    def __init__(self, script: Script) -> None:
        self.changes = 0
        self.room = Room(script, self._note)
        self._script = script

    def _note(self) -> None:
        self.changes += 1

    def free(self, resource: str = "cpu") -> float | None:
        """What is free on the node."""
        free = self.room.free([NODE])
        return None if free is None else free["n"][resource]

    async def until_over(self) -> None:
        """Wait until the script has nothing more to say."""
        await self._script.over.wait()
        self._script.over.clear()


@contextlib.asynccontextmanager
async def followed(script: Script) -> Any:
    """A room that runs, and of which nothing is wanted yet."""
    watched = Watched(script)
    task = asyncio.create_task(watched.room.run())
    yield watched
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


@virtual_time
async def test_what_pods_ask_for_is_taken_from_what_their_node_has() -> None:
    lines: list[bytes | float | Exception] = [
        event("ADDED", a_pod(8, "b", cpu="500m")),
        event("ADDED", a_pod(9, "nowhere", node="")),
        event("DELETED", a_pod(10, "a", phase="Succeeded")),
    ]
    async with followed(Script([[(7, [a_pod(3)])]], [lines])) as watched:
        watched.room.want(True)
        await watched.until_over()
        assert (watched.free(), watched.free("pods")) == (7.5, 2.0)
        # One that has no node yet takes nothing.
        assert watched.changes == 3


@virtual_time
async def test_a_change_of_a_pods_status_is_none_of_the_room() -> None:
    lines: list[bytes | float | Exception] = [event("MODIFIED", a_pod(8 + n)) for n in range(5)]
    async with followed(Script([[(7, [a_pod(3)])]], [lines])) as watched:
        watched.room.want(True)
        await watched.until_over()
        assert (watched.changes, watched.free()) == (1, 7.0)


@virtual_time
async def test_a_pod_that_is_resized_in_place_takes_what_it_asks_for_now() -> None:
    lines: list[bytes | float | Exception] = [event("MODIFIED", a_pod(8, cpu="4"))]
    async with followed(Script([[(7, [a_pod(3)])]], [lines])) as watched:
        watched.room.want(True)
        await watched.until_over()
        assert watched.free() == 4.0


@virtual_time
async def test_pods_are_followed_from_the_first_environment_on_and_forgotten_with_the_last() -> None:
    script = Script([[(7, [a_pod(3)])], [(20, [a_pod(15, cpu="2")])]], [])
    async with followed(script) as watched:
        await asyncio.sleep(60)
        assert (script.asked, watched.free()) == ([], None)

        watched.room.want(True)
        await watched.until_over()
        assert (script.asked, watched.free()) == (["list", "watch from 7"], 7.0)

        watched.room.want(False)
        await asyncio.sleep(0.1)
        assert (watched.free(), len(watched.room.informer.cache)) == (None, 0)

        watched.room.want(True)
        await watched.until_over()
        assert (script.asked[2:], watched.free()) == (["list", "watch from 20"], 6.0)


@virtual_time
async def test_an_environment_that_is_replaced_by_another_one_does_not_end_the_watch_for_good() -> None:
    script = Script([[(7, [a_pod(3)])], [(20, [a_pod(15)])]], [])
    async with followed(script) as watched:
        watched.room.want(True)
        await watched.until_over()
        watched.room.want(False)
        watched.room.want(True)
        await watched.until_over()
        assert watched.free() == 7.0
