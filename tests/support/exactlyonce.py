"""What must have happened exactly once, read from what the API server saw."""

from __future__ import annotations

import itertools
from collections import Counter

from nightcrawler_crds import names
from nightcrawler_crds.names import Resource
from tests.support.history import Change, History
from tests.support.team import Team

_TERMINAL = ("Completed", "Failed", "Cancelled")


def made(history: History, resource: Resource, execution: str) -> Counter[str]:
    """How many Jobs or Pods were ever made for each attempt of an execution's steps, as `step/attempt`."""
    changes = [c for c in history.of(resource) if c.kind == "ADDED" and _of(c) == execution]
    marks = [c.object["metadata"]["annotations"] for c in changes]
    return Counter(_attempt(m) for m in marks)


def assert_ran_once(history: History, execution: str, *attempts: str) -> None:
    """Exactly these attempts (`step/attempt`) had one Job and one Pod each; no phase went back."""
    expected = Counter(attempts)
    assert made(history, names.JOBS, execution) == expected
    assert made(history, names.PODS, execution) == expected
    assert_record_is_monotonic(history, execution)


def assert_there_once(team: Team, execution: str, *attempts: str) -> None:
    """Exactly these attempts have one Job and one Pod each now: for runs of which nothing was deleted.

    An API server that was started again cannot tell the history from before.
    """
    expected = Counter(attempts)
    for there in (team.jobs(execution), team.pods(execution)):
        marks = [child["metadata"]["annotations"] for child in there]
        assert Counter(_attempt(m) for m in marks) == expected


def assert_record_is_monotonic(history: History, execution: str) -> None:
    """Phases never go back, what has ended is not written again, attempts are counted one by one."""
    records = [c.object.get("status", {}) for c in history.of(names.EXECUTIONS) if c.name == execution]
    for before, after in itertools.pairwise(records):
        if before.get("phase") in _TERMINAL:
            assert after == before, f"written after its end: {before} then {after}"
        for step, was in before.get("steps", {}).items():
            is_now = after["steps"][step]
            assert is_now.get("attempt", 0) - was.get("attempt", 0) in (0, 1), (was, is_now)
            if was["phase"] in ("Completed", "Failed", "Skipped", "Cancelled"):
                assert is_now == was, f"{step} was written after its end: {was} then {is_now}"


def assert_never_two_at_once(history: History, execution: str) -> None:
    """At no moment were two Pods of one step live."""
    live: dict[str, set[str]] = {}
    for change in history.of(names.PODS):
        if _of(change) != execution:
            continue
        of_step = live.setdefault(change.step, set())
        if change.kind == "DELETED" or change.phase in ("Succeeded", "Failed"):
            of_step.discard(change.name)
        else:
            of_step.add(change.name)
        assert len(of_step) <= 1, f"two Pods of {change.step} at once: {of_step}"


def _attempt(marks: dict[str, str]) -> str:
    return f"{marks[names.ANNOTATION_STEP]}/{marks[names.ANNOTATION_ATTEMPT]}"


def _of(change: Change) -> str:
    execution: str = change.object["metadata"]["labels"][names.LABEL_EXECUTION]
    return execution
