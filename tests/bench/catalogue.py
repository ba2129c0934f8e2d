"""What the dashboard has to show: workflows and runs such as a company's teams have; pure.

Everything follows from its number, so that each measurement lists the same.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Final

from nightcrawler_crds import names
from nightcrawler_crds.clock import to_wire
from tests.bench.engines import Defined
from tests.bench.engines import nightcrawler as manifests

Json = dict[str, Any]

_SUBJECTS: Final = (
    "Image Classification",
    "Churn Prediction",
    "Fraud Detection",
    "Speech Recognition",
    "Protein Folding",
    "Route Planning",
    "Load Forecast",
    "Click Stream",
    "Satellite Imagery",
    "Recommendation",
    "Vertragsprüfung",
    "Weather Ensemble",
)
_WORK: Final = ("Training", "Evaluation", "Backfill", "Export", "Data Preparation", "Fine-Tuning", "Report")
_PLACES: Final = ("EU", "US", "APAC", "staging", "nightly", "weekly", "team blue", "team red")
_SENTENCES: Final = (
    "Reads the warehouse's latest partition and writes features.",
    "Trains on ImageNet with eight GPUs and keeps the best checkpoint.",
    "Compares the candidate with the model in production.",
    "Owned by the platform team; ask them before changing anything.",
    "Sends a report to the dashboard when it ends.",
    "Runs after the close of business in Zürich.",
)
_PRIORITIES: Final = ("low", "medium", "medium", "medium", "high", "critical")
STEPS: Final = ("Data Preparation", "Feature Extraction", "Model Training", "Evaluation", "Deployment")
"""The steps of every workflow, one after another."""
EXECUTORS: Final = ("ada", "grace", "edsger", "barbara", "donald")
_SCHEDULED: Final = 0.05
_STEP_SECONDS: Final = (20, 900)
_LAST_DAYS: Final = 30

WORDS: Final = (
    *(word for text in (*_SUBJECTS, *_WORK, *_PLACES) for word in text.split()),
    "imagenet",
    "platform team",
    "ZÜRICH",
    "ification",
    "nobody wrote this",
)
"""What people look for; the last is nowhere."""


def workflow(number: int) -> Json:
    """The manifest of a workflow, `wf-<number>`."""
    chance = random.Random(f"workflow {number}")
    name = f"{chance.choice(_SUBJECTS)} {chance.choice(_WORK)} {chance.choice(_PLACES)} {number}"
    spec: Json = {
        "displayName": name,
        "description": " ".join(chance.sample(_SENTENCES, chance.randint(1, 3))),
        "tags": chance.sample(_PLACES, 2),
        "steps": [{"name": step, "image": "busybox:1", "command": ["train", step]} for step in STEPS],
        "config": {"timeout": "2 hours", "retries": 2, "resources": {"cpu": "250m", "memory": "128 MB"}},
    }
    if (priority := chance.choice(_PRIORITIES)) != "medium":
        spec["priority"] = priority
    if chance.random() < _SCHEDULED:
        spec["config"]["schedule"] = {"type": "cron", "cron": "0 3 * * *"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "Workflow",
        "metadata": {"name": f"wf-{number}", "annotations": {names.ANNOTATION_CREATOR: "ada"}},
        "spec": spec,
    }


def workflow_of(run: int, workflows: int) -> int:
    """The number of the workflow that a run is of: a few have many runs, most have some."""
    return int(workflows * random.Random(f"workflow of {run}").random() ** 2)


def execution(number: int, of: Defined) -> Json:
    """The manifest of a run, `exec-<number>`."""
    chance = random.Random(f"execution {number}")
    manifest = manifests.execution(of, f"exec-{number}")
    manifest["spec"] |= {
        "executor": chance.choice(EXECUTORS),
        "parameters": {"datasetPath": f"s3://datasets/{number}", "epochs": chance.randint(1, 90)},
    }
    return manifest


def ended(number: int, now: datetime) -> Json:
    """The status of a run that ended within the last month: most completed, some failed or cancelled."""
    chance = random.Random(f"ended {number}")
    began = now - timedelta(days=chance.uniform(1, _LAST_DAYS))
    outcome = chance.choices(("Completed", "Failed", "Cancelled"), (90, 7, 3))[0]
    done = len(STEPS) if outcome == "Completed" else chance.randrange(len(STEPS))
    steps, end = _steps(chance, number, began, done)
    if done < len(STEPS):
        steps[STEPS[done]] = _step(number, done, outcome, end, end + timedelta(seconds=30))
        steps |= {step: {"phase": "Skipped"} for step in STEPS[done + 1 :]}
    if outcome == "Failed":
        steps[STEPS[done]] |= {"exitCode": 1, "reason": "Error", "message": "exit code 1: no such file"}
    status = _status(outcome, done, began, steps) | {"completionTime": to_wire(end)}
    status["conditions"].append(_condition("Finished", outcome, began))
    if outcome == "Failed":
        status["message"] = f"step {STEPS[done]!r} failed: exit code 1: no such file"
    return status


def running(number: int, turn: int, now: datetime) -> Json:
    """The status of a run that runs: one step further with every turn.

    After the last step it is another run that has just begun, for a client.
    """
    chance = random.Random(f"running {number}")
    round_, done = divmod(number + turn, len(STEPS))
    began = now - timedelta(hours=1) + timedelta(minutes=round_)
    steps, at = _steps(chance, number, began, done)
    steps[STEPS[done]] = _step(number, done, "Running", at, None)
    # What the turn before wrote of later steps is taken back.
    later: Json = {step: {"phase": "Pending", "startTime": None, "completionTime": None} for step in STEPS}
    return _status("Running", done, began, later | steps)


def _steps(chance: random.Random, number: int, began: datetime, done: int) -> tuple[Json, datetime]:
    """The steps that completed, and when the last one did."""
    steps: Json = {}
    at = began
    for index in range(done):
        end = at + timedelta(seconds=chance.randint(*_STEP_SECONDS))
        steps[STEPS[index]] = _step(number, index, "Completed", at, end) | {"exitCode": 0}
        at = end
    return steps, at


def _step(number: int, index: int, phase: str, began: datetime, end: datetime | None) -> Json:
    job = f"exec-{number}-{STEPS[index].lower().replace(' ', '-')}-0123456789"
    return {
        "phase": phase,
        "attempt": 1,
        "startTime": to_wire(began),
        "completionTime": to_wire(end) if end else None,
        "jobName": job,
    }


def _status(phase: str, done: int, began: datetime, steps: Json) -> Json:
    return {
        "phase": phase,
        "revision": "wf-0123456789",
        "startTime": to_wire(began),
        "progress": f"{done}/{len(STEPS)}",
        "steps": steps,
        "conditions": [_condition("Accepted", "Valid", began)],
    }


def _condition(kind: str, reason: str, at: datetime) -> Json:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": to_wire(at),
    }
