"""Logs of real containers, with kubectl and through the facade."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from tests.support.builders import a_workflow
from tests.support.polling import eventually
from tests.support.real_node import PYTHON, Installation, Run, moment, python, shell

pytestmark = pytest.mark.real_node

LINES: Final = {
    "Starting data preparation...": "info",
    "WARNING: 3 images are broken": "warning",
    "[warn] disk is nearly full": "warning",
    "ERROR no such table": "error",
    "2025-07-10 14:45:10,123 ERROR root: it broke": "error",
    '{"level": "error", "msg": "in JSON"}': "error",
    '{"level": "warn", "msg": "in JSON"}': "warning",
    '{"level": "info", "msg": "in JSON"}': "info",
    "errors: none": "info",
    "Übergrößenträger 🌙 \tend": "info",
    "  indented": "info",
    "x" * 20_000: "info",
    "the last line has no end": "info",
}
"""Lines as programs write them, and their levels. The container runtime cuts a long one in pieces."""

SAYS: Final = f"print({chr(10).join(LINES)!r}, end='')"
STREAMS: Final = "import sys; print('to the one'); print('ERROR on the other stream', file=sys.stderr)"
ATTEMPTS: Final = shell('echo "this is attempt $NIGHTCRAWLER_ATTEMPT"; test "$NIGHTCRAWLER_ATTEMPT" -eq 2')


@pytest.fixture(scope="module")
def run(here: Installation) -> Run:
    """A run whose steps say much, little and nothing."""
    workflow = (
        a_workflow("talkative", order="Graph")
        .step("Levels", image=PYTHON, command=python(SAYS))
        .step("Many", command=["awk", 'BEGIN {for (i = 1; i <= 1200; i++) print "line", i}'])
        .step("Streams", image=PYTHON, command=python(STREAMS))
        .step("Again", command=ATTEMPTS, retries=1, retry_delay=0)
        .step("Silent", command=["true"])
    )
    return here.launch(workflow)["talkative"]


def steps(here: Installation, run: Run) -> dict[str, Any]:
    """The steps of the execution's detail, by name."""
    assert run.ended()["phase"] == "Completed"
    answer = here.http.get(f"/api/workflows/{run.name}/executions/{run.name}")
    assert answer.status_code == 200, answer.text
    return {step["name"]: step for step in answer.json()["stepExecutions"]}


def messages(step: dict[str, Any]) -> list[str]:
    """The lines of a step's log."""
    return [line["message"] for line in step["logs"]]


def test_kubectl_shows_the_logs_of_a_run_as_the_guide_says(here: Installation, run: Run) -> None:
    run.ended()
    shown = here.kubectl("logs", f"--selector=nightcrawler.dev/execution={run.name}", "--prefix", "--tail=-1")
    assert "this is attempt 1\n" in shown
    assert "this is attempt 2\n" in shown
    assert all(line in shown for line in LINES)


def test_each_line_has_the_level_that_it_gives_itself(here: Installation, run: Run) -> None:
    said = steps(here, run)["Levels"]["logs"]
    # No control characters are shown: a tab becomes a space.
    expected = {line.replace("\t", " "): level for line, level in LINES.items()}
    assert {line["message"]: line["level"] for line in said} == expected


def test_lines_have_the_time_at_which_they_were_written(here: Installation, run: Run) -> None:
    shown = steps(here, run)
    step = shown["Many"]
    for line in step["logs"]:
        assert re.fullmatch(r"\d\d:\d\d:\d\d", line["timestamp"])
        assert line["timestamp"] == line["time"][11:19]
        # A step's times have a grain of a second, and are cut off. The runtime may note a start after
        # the first line and read a last line after the end, and a second may begin between the two.
        assert (moment(line["time"]) - moment(step["startTime"])).total_seconds() > -1
        assert (moment(line["time"]) - moment(step["endTime"])).total_seconds() < 2
    times = [line["time"] for line in step["logs"]]
    assert times == sorted(times)


def test_of_many_lines_the_last_thousand_are_shown(here: Installation, run: Run) -> None:
    assert messages(steps(here, run)["Many"]) == [f"line {number}" for number in range(201, 1201)]
    assert len(run.log("Many").splitlines()) == 1200, "kubectl has them all"


def test_both_streams_are_shown(here: Installation, run: Run) -> None:
    said = steps(here, run)["Streams"]["logs"]
    assert sorted((line["message"], line["level"]) for line in said) == [
        ("ERROR on the other stream", "error"),
        ("to the one", "info"),
    ]


def test_the_log_is_that_of_the_last_attempt(here: Installation, run: Run) -> None:
    step = steps(here, run)["Again"]
    assert (step["attempt"], messages(step)) == (2, ["this is attempt 2"])


def test_a_step_that_prints_nothing_has_an_empty_log_and_no_note(here: Installation, run: Run) -> None:
    step = steps(here, run)["Silent"]
    assert step["logs"] == []
    assert "logsMessage" not in step


def test_without_its_pod_a_step_whose_log_is_not_kept_has_none_and_says_why(here: Installation) -> None:
    workflow = a_workflow("forgotten", options={"enableLogging": False})
    run = here.launch(workflow.step("First", command=["echo", "1"]).step("Second", command=["echo", "2"]))
    forgotten = run["forgotten"]
    assert messages(steps(here, forgotten)["First"]) == ["1"]
    here.kubectl("delete", "job", forgotten.step("First")["jobName"])
    # kubectl waits for the end of the Job, and the garbage collector takes the Pod after it.
    shown = eventually(
        lambda: steps(here, forgotten),
        until=lambda s: s["First"].get("logsMessage") == "the Pod of this step is gone, and its log with it",
        what="the Pod's end",
    )
    assert shown["First"]["status"] == "completed"
    assert messages(shown["Second"]) == ["2"], "the others are still there"


def test_the_log_of_a_program_that_runs_can_be_read(here: Installation) -> None:
    program = shell("echo so far; trap 'exit 0' TERM; while true; do sleep 0.1; done")
    run = here.launch(a_workflow("on-its-way").step("Work", command=program))["on-its-way"]
    run.running_pod()
    answer = eventually(
        lambda: here.http.get("/api/workflows/on-its-way/executions/on-its-way").json(),
        until=lambda answer: answer["stepExecutions"],
        what="that it runs is recorded and shown",
    )
    (step,) = answer["stepExecutions"]
    assert (answer["status"], step["status"], messages(step)) == ("running", "running", ["so far"])
    run.delete()
    run.without_pods()
