"""Kept logs of steps that write more than a node keeps, or rubbish, fail thirty times, or lose their Pod."""

from __future__ import annotations

import random
import re
from datetime import datetime
from typing import Final

import pytest

from nightcrawler_api.keptlogs.record import ROTATED, UNFINISHED
from nightcrawler_crds.clock import utcnow
from nightcrawler_crds.plaintext import plain_line
from tests.e2e.test_kept_logs import text_of
from tests.support.builders import a_workflow
from tests.support.polling import eventually
from tests.support.real_node import PYTHON, Installation, Run, container, moment, python, shell
from tests.support.resources import Json
from tests.support.sse import EventSource

pytestmark = pytest.mark.real_node

MIB: Final = 1 << 20
LINES: Final = 2_000_000
"""Of a hundred bytes: 200 MB, twenty times what the node keeps of a log."""
FLOOD: Final = f"""
import sys
for begin in range(0, {LINES}, 1000):
    sys.stdout.write("".join(f"{{number:07}} {{'x' * 91}}\\n" for number in range(begin, begin + 1000)))
"""
TICKS: Final = 200
TICK: Final = f"""
import time
for number in range({TICKS}):
    print("tick", number, flush=True)
    time.sleep(0.1)
"""
RUBBISH: Final = "import random, sys; sys.stdout.buffer.write(random.Random(14).randbytes(2_000_000))"
WIDE: Final = 6
WIDES: Final = f"""
for number in range({WIDE}):
    print(f"{{number:07}} " + "w" * 999_992)
"""
ATTEMPTS: Final = 30
FAILS: Final = shell(
    'for i in 1 2 3; do echo "attempt $NIGHTCRAWLER_ATTEMPT line $i"; done; '
    f'test "$NIGHTCRAWLER_ATTEMPT" -eq {ATTEMPTS}'
)


LAST: Final = 50
GREEDY: Final = shell(
    f"for i in $(seq {LAST}); do echo line $i; done; sleep 15; "
    "dd if=/dev/zero of=/scratch/data bs=1M count=40 2>/dev/null; sleep 600"
)
"""Evicted by the kubelet, which removes the containers of such a Pod at once."""
BURSTS: Final = shell(
    "echo begin; sleep 10; while true; do "
    f"yes {'x' * 99} | head -c 12000000; "
    "for i in $(seq 300); do test -e /tmp/done && exit; sleep 0.1; done; done"
)
"""More than the kubelet keeps in a file, and then nothing for half a minute."""
ENDLESS: Final = shell(
    'test "$NIGHTCRAWLER_ATTEMPT" -eq 2 && exec echo done; '
    f"for i in $(seq {LAST}); do echo line $i; done; sleep 600"
)


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """All runs, begun at once."""
    much = (
        a_workflow("much", order="Graph")
        .step("Flood", image=PYTHON, command=python(FLOOD))
        .step("Tick", image=PYTHON, command=python(TICK))
        .step("Rubbish", image=PYTHON, command=python(RUBBISH))
        .step("Wide", image=PYTHON, command=python(WIDES))
        .step("Again", command=FAILS, retries=ATTEMPTS - 1, retry_delay=0)
    )
    greedy = a_workflow("greedy").step("Work", command=GREEDY, resources={"ephemeralStorage": "10 MB"})
    vanishing = a_workflow("vanishing").step("Work", command=ENDLESS)
    return here.launch(much, greedy, vanishing, a_workflow("bursts").step("Work", command=BURSTS))


def until_kept(run: Run) -> Json:
    """The status of a run once it has ended and its logs are kept."""
    return run.until(lambda status: status.get("settled"), "its logs to be kept", within=240)


@pytest.fixture(scope="module")
def run(runs: dict[str, Run]) -> Run:
    """The run whose steps write much, once its logs are kept."""
    run = runs["much"]
    assert until_kept(run)["phase"] == "Completed", run.status
    return run


def shown_of(here: Installation, run: Run) -> dict[str, tuple[list[Json], str | None]]:
    """The logs of the document of a run, by the names of its steps."""
    answer = here.http.get(f"/api/workflows/{run.name}/executions/{run.name}")
    assert answer.status_code == 200, answer.text
    return {step["name"]: (step["logs"], step.get("logsMessage")) for step in answer.json()["stepExecutions"]}


def lines_of(here: Installation, run: Run, step: str) -> list[str]:
    """The lines that a step has written.

    Without a mark before the first: a program that writes so much at once, some time after its start, may as
    well have filled a file before.
    """
    lines = text_of(here, run, step).split("\n")[:-1]
    return lines[1:] if lines[0].startswith("[lines may be missing here:") else lines


def forget_pods(here: Installation, run: Run) -> None:
    here.kubectl("delete", "jobs", f"--selector=nightcrawler.dev/execution={run.name}", "--wait=false")
    run.without_pods()


def test_of_a_pod_that_vanishes_what_was_read_is_kept_with_a_mark_at_its_end(
    here: Installation, runs: dict[str, Run]
) -> None:
    run = runs["vanishing"]
    pod = run.running_pod()
    began = moment(container(pod, "step")["state"]["running"]["startedAt"])
    # It is read at the latest when it has run for eight seconds.
    eventually(lambda: (utcnow() - began).total_seconds() > 12, what="its log to be read")
    here.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    assert until_kept(run)["steps"]["Work"]["attempt"] == 2
    lines = text_of(here, run, "Work", 1).split("\n")[:-1]
    assert lines == [*(f"line {number}" for number in range(1, LAST + 1)), f"[{UNFINISHED}]"]
    assert text_of(here, run, "Work", 2) == "done\n"
    path = f"/api/workflows/{run.name}/executions/{run.name}/logs"
    *_, last = EventSource(here.http, path, follow="true", step="Work", attempt="1").events()
    assert (last.name, last.data) == ("end", {"attempt": 1, "detail": UNFINISHED})


def test_of_a_flood_what_is_kept_is_in_order_once_and_every_gap_is_marked(
    here: Installation, run: Run
) -> None:
    text = text_of(here, run, "Flood")
    assert 1 * MIB < len(text) < 66 * MIB
    latest, marked = -1, False
    lines = text.split("\n")[:-1]
    for place, line in enumerate(lines):
        around = f"line {place} of {len(lines)}: {lines[max(place - 2, 0) : place + 2]}"
        if line.startswith("["):
            marked = True
        elif marked and re.fullmatch(r"\d{0,6} x{91}|x{0,91}", line):
            pass  # the rest of a line: the runtime begins another file in the middle of one
        else:
            assert re.fullmatch(r"\d{7} x{91}", line), around
            number = int(line[:7])
            assert number == latest + 1 or (marked and number > latest), around
            latest, marked = number, False
    # The node may have begun another file after the last line.
    assert latest == LINES - 1 or lines[-1] == f"[{ROTATED}]", f"the end is missing, after {latest}"


def test_of_a_log_whose_newest_file_is_empty_the_end_is_said_to_be_missing_perhaps(
    here: Installation, runs: dict[str, Run]
) -> None:
    run = runs["bursts"]
    pod = run.running_pod()["metadata"]["name"]
    empty: list[datetime] = []

    def stays_empty() -> bool:
        """For three seconds, for the kubelet may begin a file within a burst, too."""
        if here.kubectl("logs", pod, "--tail=1"):
            empty.clear()
        else:
            empty.append(utcnow())
        return bool(empty) and (empty[-1] - empty[0]).total_seconds() > 3

    # The kubelet looks every ten seconds whether a file is long enough.
    eventually(stays_empty, what="another file, without a line", within=120)
    here.kubectl("exec", pod, "--container=step", "--", "touch", "/tmp/done")
    assert until_kept(run)["phase"] == "Completed", run.status
    assert text_of(here, run, "Work").split("\n")[-2] == f"[{ROTATED}]"
    assert shown_of(here, run)["Work"][1] == ROTATED


def test_beside_a_flood_another_log_is_kept_whole(here: Installation, run: Run) -> None:
    assert text_of(here, run, "Tick") == "".join(f"tick {number}\n" for number in range(TICKS))


def test_rubbish_is_kept_as_it_is_shown(here: Installation, run: Run) -> None:
    rubbish = random.Random(14).randbytes(2_000_000)
    expected = [plain_line(line.decode(errors="replace")) for line in rubbish.split(b"\n")]
    assert lines_of(here, run, "Rubbish") == expected


def test_lines_of_a_megabyte_are_kept_whole(here: Installation, run: Run) -> None:
    kept = lines_of(here, run, "Wide")
    assert [len(line) for line in kept] == [1_000_000] * WIDE
    assert [int(line[:7]) for line in kept] == list(range(WIDE))


def test_thirty_attempts_have_a_log_each(here: Installation, run: Run) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        expected = "".join(f"attempt {attempt} line {line}\n" for line in (1, 2, 3))
        assert text_of(here, run, "Again", attempt) == expected


def test_the_document_shows_the_same_logs_when_the_pods_are_gone(here: Installation, run: Run) -> None:
    before = shown_of(here, run)
    forget_pods(here, run)
    assert shown_of(here, run) == before


def test_of_an_evicted_pod_what_was_read_stays_and_is_said_to_be_unfinished(
    here: Installation, runs: dict[str, Run]
) -> None:
    # The last test, for the kubelet measures once a minute.
    run = runs["greedy"]
    assert until_kept(run)["steps"]["Work"]["reason"] == "OutOfDisk"
    before, text = shown_of(here, run), text_of(here, run, "Work")
    assert text.split("\n")[:LAST] == [f"line {number}" for number in range(1, LAST + 1)]
    forget_pods(here, run)
    assert (shown_of(here, run), text_of(here, run, "Work")) == (before, text)
