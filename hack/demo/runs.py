"""The progress of a run: read with kubectl or over REST, printed as one line for each change."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from demo import web
from demo.terminal import DemoError, say

_TIMEOUT: Final = 300.0
"""Seconds that a run of the demo may take."""
_POLL: Final = 0.3
_ORDER: Final = {"Running": 1, "Retrying": 2, "Pending": 3}
ENDED: Final = frozenset({"Completed", "Failed", "Cancelled"})


@dataclass(frozen=True)
class Step:
    """A step of a run: its phase, and why it waits or failed."""

    phase: str
    detail: str = ""


@dataclass(frozen=True)
class Run:
    """A run at one moment. `duration` is text, once it has ended."""

    phase: str
    message: str = ""
    duration: str = ""
    steps: dict[str, Step] = field(default_factory=dict)


def of_object(execution: dict[str, Any]) -> Run:
    """A run, from its custom resource."""
    status = execution.get("status", {})
    steps = {
        name: Step(
            step["phase"],
            # If it completed, how long it took; else why it waits or failed.
            step.get("message") or _between(step.get("startTime"), step.get("completionTime")),
        )
        for name, step in status.get("steps", {}).items()
    }
    duration = _between(status.get("startTime"), status.get("completionTime"))
    return Run(status.get("phase", "Pending"), status.get("message", ""), duration, steps)


def of_answer(answer: dict[str, Any]) -> Run:
    """A run, from a response of the facade."""
    steps = {
        step["name"]: Step(step["status"].capitalize(), step.get("error") or _ended(step))
        for step in answer.get("stepExecutions", ())
    }
    message = answer.get("error") or answer.get("message") or ""
    return Run(answer["status"].capitalize(), message, answer.get("duration", ""), steps)


def _ended(step: dict[str, Any]) -> str:
    return str(step.get("duration", "")) if step.get("endTime") else ""


def _between(start: str | None, end: str | None) -> str:
    if not start or not end:
        return ""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return f"{seconds:.0f} s"


def changes(before: Run | None, now: Run) -> list[str]:
    """A line for each change, the steps first."""
    old = before.steps if before else {}
    changed = [(name, step) for name, step in now.steps.items() if step != old.get(name)]
    # The API server sorts by name; a step that has ended comes before its successors.
    changed.sort(key=lambda named: _ORDER.get(named[1].phase, 0))
    lines = [f"{step.phase:<10} {name}{f' ({step.detail})' if step.detail else ''}" for name, step in changed]
    seen = (before.phase, before.message) if before else None
    if (now.phase, now.message) != seen:
        words = ": ".join(part for part in (now.phase, now.message) if part)
        lines.append(f"the run is {words}{f' (in {now.duration})' if now.duration else ''}")
    return lines


def follow(run: Iterable[Run]) -> Run:
    """Print each change of a run until it has ended; return its last state.

    Raises:
        DemoError: It did not end in time.
    """
    began = time.monotonic()
    last: Run | None = None
    for now in run:
        for line in changes(last, now):
            say(f"  {time.monotonic() - began:5.1f} s  {line}")
        last = now
        if now.phase in ENDED:
            return now
    raise DemoError(
        f"The run has not ended within {_TIMEOUT:.0f} s; it is {last.phase if last else 'unknown'}"
        f"{f' ({last.message})' if last and last.message else ''}."
    )


def watched(kubectl: str, kubeconfig: str, name: str) -> Iterator[Run]:
    """An execution each time it changes, by `kubectl get --watch`."""
    command = [kubectl, f"--kubeconfig={kubeconfig}", "get", "wfe", name, "--watch", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        alarm = threading.Timer(_TIMEOUT, process.kill)
        alarm.start()
        try:
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if line.rstrip("\n") == "}":  # only an object's last line begins with its brace
                    yield of_object(json.loads("".join(lines)))
                    lines.clear()
        finally:
            alarm.cancel()
            process.kill()


def scheduled(url: str) -> str:
    """The URL of the first execution in a workflow's list that its schedule starts.

    Raises:
        DemoError: There is none in time.
    """
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        for execution in web.get_json(url)["executions"]:
            if "scheduledTime" in execution:
                by, due = execution["executor"], execution["scheduledTime"]
                say(f"  {execution['id']} was started by {by} for {due}")
                return f"{url}/{execution['id']}"
        time.sleep(_POLL)
    raise DemoError(f"The schedule has started nothing within {_TIMEOUT:.0f} s.")


def polled(url: str) -> Iterator[Run]:
    """An execution, polled over REST."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        yield of_answer(web.get_json(url))
        time.sleep(_POLL)
