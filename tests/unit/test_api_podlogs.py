"""Logs of steps: how much of them is read, how long that may take, and the note where there is none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from aiohttp import web

from nightcrawler_api.executions import podlogs
from nightcrawler_api.executions.podlogs import MAX_BYTES, MAX_BYTES_OF_STEP, StepLog, read_logs
from nightcrawler_crds import names
from tests.support.fakeserver import store_of
from tests.support.views import execution

STAMP = "2025-07-10T14:45:10Z "
STARTED = {"phase": "Running", "startTime": "2025-07-10T14:45:00Z"}


def pod(step: str) -> dict[str, Any]:
    annotations = {names.ANNOTATION_STEP: step, names.ANNOTATION_ATTEMPT: "1"}
    return {"metadata": {"name": f"pod-{step}", "namespace": "default", "annotations": annotations}}


async def logs_of(
    steps: Mapping[str, dict[str, Any]],
    logs: Mapping[str, bytes | None],
    *,
    pods: Iterable[str] | None = None,
    within: float = 10.0,
) -> dict[str, StepLog]:
    """What is read where Pods print these; None never comes."""
    for_ever = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = re.search(r"/pods/pod-(.+)/log$", request.path)
        if asked is None:
            items = [pod(step) for step in (logs if pods is None else pods)]
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})
        text = logs[asked[1]]
        if text is None:
            await for_ever.wait()
            return web.Response()
        return web.Response(body=text)

    async with store_of(answer) as store:
        try:
            return await read_logs(store, execution(steps=steps), steps, within=within)
        finally:
            for_ever.set()


async def test_a_long_log_is_cut_to_its_end_and_says_so() -> None:
    line = STAMP + "x" * 10_000 + "\n"
    text = line * 500 + f"{STAMP}the end\n"
    lines, says = (await logs_of({"a": STARTED}, {"a": text.encode()}))["a"]
    assert lines[-1]["message"] == "the end"
    assert MAX_BYTES_OF_STEP - 2 * len(line) < len(lines) * len(line) <= MAX_BYTES_OF_STEP + len(line)
    assert {line["timestamp"] for line in lines} == {"14:45:10"}, "a line that is cut is left out"
    assert says == f"only the last {MAX_BYTES_OF_STEP // 1024} KiB of this log are shown"


async def test_a_line_longer_than_the_limit_is_cut_to_its_end() -> None:
    text = STAMP + "x" * (2 * MAX_BYTES_OF_STEP) + "end"
    [line], says = (await logs_of({"a": STARTED}, {"a": text.encode()}))["a"]
    assert line["message"].endswith("end")
    assert len(line["message"]) == MAX_BYTES_OF_STEP
    assert "only the last" in says


async def test_a_short_log_is_shown_whole_without_a_note() -> None:
    [line], says = (await logs_of({"a": STARTED}, {"a": f"{STAMP}x\n".encode()}))["a"]
    assert (line["message"], says) == ("x", "")


async def test_the_logs_of_many_steps_share_the_limit_of_a_response() -> None:
    steps = [f"s{number}" for number in range(32)]
    text = (STAMP + "x" * 1000 + "\n").encode() * 1000
    found = await logs_of(dict.fromkeys(steps, STARTED), dict.fromkeys(steps, text))
    read = sum(len(line["message"]) for lines, _ in found.values() for line in lines)
    assert MAX_BYTES * 0.9 < read <= MAX_BYTES
    assert {says for _, says in found.values()} == {"only the last 256 KiB of this log are shown"}


async def test_a_log_that_hangs_does_not_hide_the_others() -> None:
    steps = ["quick", *(f"slow-{number}" for number in range(20))]
    logs = {step: None if step.startswith("slow") else f"{STAMP}x\n".encode() for step in steps}
    found = await logs_of(dict.fromkeys(steps, STARTED), logs, within=2)
    assert len(found["quick"][0]) == 1
    assert {found[step] for step in steps[1:]} == {((), podlogs.TOO_SLOW)}


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (STARTED, podlogs.GONE),
        ({**STARTED, "phase": "Completed"}, podlogs.GONE),
        ({"phase": "Running"}, podlogs.NOT_YET),
        ({"phase": "Retrying"}, podlogs.NOT_YET),
        ({"phase": "Failed", "message": "no such image"}, podlogs.NEVER),
    ],
)
async def test_without_a_pod_the_note_depends_on_whether_the_step_has_started(
    step: dict[str, Any], says: str
) -> None:
    assert await logs_of({"a": step}, {}, pods=()) == {"a": ((), says)}
