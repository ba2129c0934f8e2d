"""Logs of real containers, followed through the facade: no line twice, none missing, after any disconnect."""

from __future__ import annotations

import random
from typing import Any, Final

import httpx
import pytest

from tests.support.builders import a_workflow
from tests.support.real_node import PYTHON, Installation, Run, python, shell
from tests.support.sse import EventSource

pytestmark = pytest.mark.real_node

COUNT: Final = 600
WRITES: Final = f"""
import os, sys, time
for number in range({COUNT}):
    print(number, flush=True)
    if number % 7 == 0:
        time.sleep(0.02)
sys.exit(os.environ["NIGHTCRAWLER_ATTEMPT"] == "1")
"""


def path_of(run: Run) -> str:
    return f"/api/workflows/{run.name}/executions/{run.name}/logs"


def followed(here: Installation, run: Run, chance: random.Random, **query: str) -> list[tuple[str, Any]]:
    """All events of a log, by a client that breaks off at random until it has got the last one."""
    source = EventSource(here.http, path_of(run), follow="true", **query)
    found: list[tuple[str, Any]] = []
    while source.status != 204:
        with httpx.Client(base_url=here.http.base_url, timeout=60, trust_env=False) as client:
            source.use(client)
            for event in source.events():
                found.append((event.name, event.data))
                if chance.random() < 0.02:
                    break
    return found


@pytest.fixture(scope="module")
def run(here: Installation) -> Run:
    workflow = (
        a_workflow("followed", order="Graph")
        .step("Count", image=PYTHON, command=python(WRITES), retries=1, retry_delay=0)
        .step("Short", command=shell("echo one; echo two >&2"))
        .step("Long", command=shell("head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo after"))
    )
    return here.launch(workflow)["followed"]


def test_a_log_is_followed_over_its_attempts_however_often_the_client_reconnects(
    here: Installation, run: Run
) -> None:
    events = followed(here, run, random.Random(6), step="Count")
    assert events[-1] == ("end", {"attempt": 2, "detail": ""})
    lines = [(data["attempt"], data["message"]) for name, data in events[:-1] if name == "log"]
    assert lines == [(attempt, str(number)) for attempt in (1, 2) for number in range(COUNT)]
    assert len(lines) == len(events) - 1, "nothing was lost"


def test_one_attempt_can_be_followed_alone_and_its_whole_log_read_as_text(
    here: Installation, run: Run
) -> None:
    run.ended()
    events = followed(here, run, random.Random(7), step="Count", attempt="1")
    assert [data["attempt"] for _, data in events] == [1] * (COUNT + 1)
    text = here.http.get(
        path_of(run), params={"step": "Count", "attempt": 1}, headers={"Accept": "text/plain"}
    )
    assert text.text == "".join(f"{number}\n" for number in range(COUNT))
    assert text.headers["content-disposition"].endswith("followed-Count-1.log")
    shown = here.http.get(path_of(run), params={"step": "Short"}).json()
    assert (shown["attempt"], {line["message"] for line in shown["logs"]}) == (1, {"one", "two"})


def test_an_endless_line_is_cut_and_the_next_one_is_shown(here: Installation, run: Run) -> None:
    run.ended()
    events = followed(here, run, random.Random(8), step="Long")
    messages = [data["message"] for name, data in events if name == "log"]
    assert messages[-1] == "after"
    assert max(map(len, messages)) <= 1 << 20


def test_a_missing_log_is_reported_at_once(here: Installation, run: Run) -> None:
    run.ended()
    for query in ({"step": "None"}, {"step": "Short", "attempt": "3"}):
        answer = here.http.get(path_of(run), params={**query, "follow": "true"})
        assert answer.status_code == 404, query
