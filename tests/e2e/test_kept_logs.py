"""Kept logs of real containers: the same before and after their Pods, and after their runs, are gone."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from demo import release
from tests.support.builders import a_workflow
from tests.support.polling import eventually
from tests.support.real_node import PYTHON, Installation, Run, python, shell
from tests.support.sse import EventSource

pytestmark = pytest.mark.real_node

COUNT: Final = 300
COUNTS: Final = f"""
import time
for number in range({COUNT}):
    print("line", number, flush=True)
    time.sleep(0.05)
"""
MUCH: Final = 40_000
"""Lines of a hundred bytes: more than one object of the store holds, and than the API shows."""
SAYS_MUCH: Final = (
    f"awk 'BEGIN {{for (i = 0; i < {MUCH}; i++) "
    '{if (i == 1000) {fflush(); system("sleep 1")}; printf "%06d %093d\\n", i, 0}}\''
)
"""With a pause after the first lines. Without it, their rate may be so high that a whole file could have been
written before them, and the log would begin with the mark of lines that may be missing."""
ATTEMPTS: Final = shell('echo "this is attempt $NIGHTCRAWLER_ATTEMPT"; test "$NIGHTCRAWLER_ATTEMPT" -eq 2')


def path_of(run: Run) -> str:
    return f"/api/workflows/{run.name}/executions/{run.name}/logs"


def text_of(here: Installation, run: Run, step: str, attempt: int = 1) -> str:
    """A whole log, as it is downloaded."""
    answer = here.http.get(
        path_of(run), params={"step": step, "attempt": attempt}, headers={"Accept": "text/plain"}
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def detail_of(here: Installation, run: Run) -> dict[str, Any]:
    answer = here.http.get(f"/api/executions/{run.name}")
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def test_a_log_is_the_same_before_and_after_its_pods_and_its_run_are_gone(here: Installation) -> None:
    workflow = (
        a_workflow("remembered", order="Graph")
        .step("Much", command=shell(SAYS_MUCH))
        .step("Again", command=ATTEMPTS, retries=1, retry_delay=0)
        .step("Silent", command=["true"])
    )
    run = here.launch(workflow)["remembered"]
    run.ended()
    run.until(lambda status: status.get("settled"), "its log to be kept")

    def seen() -> tuple[Any, ...]:
        steps = detail_of(here, run)["stepExecutions"]
        shown = {step["name"]: (step["logs"], step.get("logsMessage")) for step in steps}
        wholes = [text_of(here, run, step) for step in ("Much", "Again", "Silent")]
        return shown, wholes, text_of(here, run, "Again", attempt=2)

    before = seen()
    shown, (much, *_), _ = before
    assert much == "".join(f"{number:06} {0:093}\n" for number in range(MUCH))
    assert [line["message"] for line in shown["Again"][0]] == ["this is attempt 2"]
    assert len(shown["Much"][0]) == 1000
    assert shown["Silent"] == ([], None)

    here.kubectl("delete", "jobs", f"--selector=nightcrawler.dev/execution={run.name}", "--wait=false")
    run.without_pods()
    assert seen() == before
    run.delete()
    eventually(lambda: detail_of(here, run).get("archived"), what="only the archive to have it")
    assert seen() == before
    with httpx.Client(base_url=here.http.base_url, timeout=60, trust_env=False) as client:
        source = EventSource(client, path_of(run), follow="true", step="Again")
        events = [(event.name, event.data) for event in source.events()]
    assert events[-1] == ("end", {"attempt": 2, "detail": ""})
    said = [(data["attempt"], data["message"]) for name, data in events if name == "log"]
    assert said == [(2, "this is attempt 2")]


def test_a_facade_that_is_killed_while_a_step_writes_keeps_every_line_once(here: Installation) -> None:
    workflow = a_workflow("witnessed").step("Count", image=PYTHON, command=python(COUNTS))
    run = here.launch(workflow)["witnessed"]
    run.running_pod()
    eventually(lambda: "line 20\n" in run.log("Count"), what="some lines")
    where = f"--namespace={release.NAMESPACE}"
    facade = "--selector=app.kubernetes.io/component=api"
    here.kubectl("delete", "pod", where, facade, "--grace-period=0", "--force")
    here.kubectl("rollout", "status", where, f"deployment/{release.NAME}-api", "--timeout=120s")
    run.until(lambda status: status.get("settled"), "its log to be kept")
    here.kubectl("delete", "jobs", f"--selector=nightcrawler.dev/execution={run.name}", "--wait=false")
    run.without_pods()
    expected = "".join(f"line {number}\n" for number in range(COUNT))
    assert eventually(lambda: served(here, run), what="the facade to answer again") == expected


def served(here: Installation, run: Run) -> str:
    """The log, once there is a facade again; empty until then."""
    try:
        return text_of(here, run, "Count")
    except httpx.TransportError:
        return ""
