"""Tags over REST: a known tag gets 304, from a restarted facade too, and never wrongly."""

from __future__ import annotations

import pytest

from tests.support.builders import an_execution
from tests.support.facade import Served
from tests.support.polling import eventually

STEP = {"name": "a", "image": "busybox:1"}


def reads_of(workflow: str, execution: str) -> tuple[str, ...]:
    one = f"/api/workflows/{workflow}"
    return (
        f"/api/workflows?search={workflow}",
        one,
        f"{one}/executions",
        f"{one}/executions/{execution}?logs=false",
    )


def tag_of(served: Served, path: str) -> str:
    return str(served.http.get(path).headers["etag"])


def code_for(served: Served, path: str, tag: str) -> int:
    return served.http.get(path, headers={"If-None-Match": tag}).status_code


def until_news(served: Served, path: str, tag: str) -> None:
    eventually(lambda: code_for(served, path, tag) == 200, what=f"something else at {path}")


@pytest.fixture
def run(served: Served) -> tuple[str, str]:
    """A workflow, whose name is found by its id, and a run of it without an operator."""
    workflow = served.create(steps=[STEP])
    served.ask("PUT", f"/{workflow}", {"name": workflow})
    return workflow, served.execute(workflow)


def test_every_write_and_report_changes_the_tags_of_what_shows_it(
    served: Served, run: tuple[str, str]
) -> None:
    workflow, execution = run
    listed, shown, runs, ran = reads_of(workflow, execution)
    tags = {path: tag_of(served, path) for path in (listed, shown, runs, ran)}
    assert [code_for(served, path, tag) for path, tag in tags.items()] == [304] * 4
    served.ask("PUT", f"/{workflow}", {"description": "changed over REST"})
    assert code_for(served, listed, tags[listed]) == 200
    assert code_for(served, shown, tags[shown]) == 200
    assert code_for(served, runs, tags[runs]) == 304
    tags = {path: tag_of(served, path) for path in tags}
    served.report(execution, phase="Completed", completionTime="2099-01-01T00:00:00Z", progress="1/1")
    for path in (runs, ran, listed):
        until_news(served, path, tags[path])
    served.ask("DELETE", f"/{workflow}")
    assert code_for(served, runs, "*") == 404


def test_a_restarted_facade_knows_the_tags_of_what_has_not_changed(
    served: Served, run: tuple[str, str]
) -> None:
    reads = reads_of(*run)
    tags = {path: tag_of(served, path) for path in reads}
    served.facade.stop()
    served.facade.start()
    assert [code_for(served, path, tag) for path, tag in tags.items()] == [304] * len(reads)
    served.facade.stop()
    served.apply(an_execution(run[0], "while-it-was-down"))
    served.facade.start()
    assert code_for(served, reads[2], tags[reads[2]]) == 200


def test_the_duration_of_a_running_step_changes_the_tag(served: Served, run: tuple[str, str]) -> None:
    workflow, execution = run
    steps = {"a": {"phase": "Running", "attempt": 1, "startTime": "2025-01-01T00:00:00Z"}}
    served.report(execution, phase="Running", startTime="2025-01-01T00:00:00Z", steps=steps)
    path = f"/api/workflows/{workflow}"
    eventually(lambda: served.ask("GET", f"/{workflow}")["steps"][0]["status"] == "running", what="it to run")
    first = served.http.get(path)
    until_news(served, path, first.headers["etag"])
    assert served.http.get(path).json()["steps"][0]["duration"] != first.json()["steps"][0]["duration"]
