"""Hooks of schemathesis: what our requests must keep to beside their schema, for those that are to be valid.

JSON schema knows no rules between items and fields (names that differ, a dependsOn that names a step) and no
bounds of amounts in text, takes 90.0 for a whole number, and leaves Kubernetes' own objects to Kubernetes.
What is made from the schema breaks these rules almost always, so it is put right first. What is to be invalid
is sent as it was made.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import uuid4

import schemathesis

from nightcrawler_api.http import conditions
from nightcrawler_api.http.yaml_words import value_of
from nightcrawler_api.workflows.schemas import ONLY_IN_ANSWERS
from nightcrawler_crds import words
from nightcrawler_crds.validation import jsonnumbers
from nightcrawler_crds.validation.schedules import CronError, cron_fields
from nightcrawler_crds.words.access import parse_access

Json = dict[str, Any]

KNOWN: Final = {"environmentId": "lab", "computeProfileId": "GPU-Optimized"}
"""The ids of objects that there are."""
_OF_KUBERNETES: Final = ("podTemplate", "envFrom")
_AMOUNTS: Final[dict[str, Callable[[Any], object]]] = {
    "cpu": words.parse_cpu,
    "cpuLimit": words.parse_cpu,
    "memory": words.parse_memory,
    "gpu": words.parse_gpu,
    "persistentVolume": words.parse_memory,
    "ephemeralStorage": words.parse_memory,
    "timeout": words.parse_timeout,
    "retryDelay": words.parse_duration,
}


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """Correct a request that is to be valid."""
    # No version is known; what is no condition at all stays as it is, for it may be what is to be invalid.
    if case.headers and re.fullmatch(conditions.PATTERN, str(case.headers.get("If-Match", ""))):
        case.headers["If-Match"] = "*"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    if isinstance(case.body, dict):
        body = put_right(case.body)
        if isinstance(body.get("spec"), dict):  # of a manifest
            body["spec"] = put_right(body["spec"])
            for owner in (body["spec"].get("config") or {}, *(body["spec"].get("steps") or ())):
                _leave_out_numbers(owner.get("resources") or {})
        case.body = body
    for name, known in KNOWN.items():
        if name in case.path_parameters and len(case.path_parameters[name]) % 2:
            case.path_parameters[name] = known  # by chance nobody would name it
    # What has been asked before is not to be asked for with another body.
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    # A cursor is made by the facade: what it is, no schema says.
    if case.query:
        case.query.pop("cursor", None)
        case.query.pop("follow", None)  # it would not end while the step has not
    return case


def put_right(body: Json) -> Json:
    """A body with which no rule between fields is broken, and without what is Kubernetes' own."""
    body = copy.deepcopy(body)
    for field in ONLY_IN_ANSWERS:
        body.pop(field, None)
    body.pop("namespace", None)  # which are served, no schema says
    if isinstance(body.get("steps"), list):
        body["steps"] = list(_steps(body["steps"], body.get("order") != "Sequence"))
    if isinstance(body.get("parameters"), list):
        body["parameters"] = list(_named_once(body["parameters"]))
        for parameter in body["parameters"]:
            _keep_numbers(parameter, "default")
    elif isinstance(body.get("parameters"), dict):
        for name in list(body["parameters"]):
            _keep_numbers(body["parameters"], name)
    config = body.get("config") or {}
    _set_time(config.get("schedule") or {})
    _allow(config.get("security") or {})
    _set_time(body)  # a schedule alone is previewed
    for owner in (config, *(body.get("steps") or ())):
        owner.pop("computeProfile", None)  # there is none in the cluster
        for part in (owner, owner.get("resources") or {}, owner.get("storage") or {}):
            _bound(part)
    _make_whole(body, "maxRunning")
    for field in ("completed", "failed"):
        _make_whole(body.get("history") or {}, field)
    asked = [owner.get("resources") or {} for owner in (config, *(body.get("steps") or ()))]
    if any(resources.get("cpuLimit") is not None for resources in asked):
        # A limit must not be less than the request, here or there.
        for resources in asked:
            resources.pop("cpu", None)
    return body


def _named_once(items: list[Json]) -> Iterator[Json]:
    seen: set[str] = set()
    for item in items:
        if item["name"] not in seen:
            seen.add(item["name"])
            yield item


def _steps(steps: list[Json], graph: bool) -> Iterator[Json]:
    above: list[str] = []
    for step in _named_once(steps):
        for field in _OF_KUBERNETES:
            step.pop(field, None)
        for variable in step.get("env") or ():
            variable.pop("valueFrom", None)
        if step.get("dependsOn"):
            step["dependsOn"] = above[-1:] if graph else []
        above.append(step["name"])
        yield step


def _set_time(schedule: Json) -> None:
    if schedule.get("type") not in ("cron", "interval"):
        return
    for field, given in (("timeZone", "Europe/Berlin"), ("startingDeadline", "10 minutes")):
        if schedule.get(field) is not None:
            schedule[field] = given
    for bound in ("start", "end"):
        if schedule.get(bound) is not None:
            schedule[bound] = "2025-07-10T14:45:00Z"
    if schedule.get("type") == "cron":
        schedule.pop("interval", None)
        schedule["cron"] = _cron(schedule.get("cron") or "")
    elif schedule.get("type") == "interval":
        schedule.pop("cron", None)
        schedule["interval"] = "6 hours"


def _allow(security: Json) -> None:
    """Put words that there are in place of those that only look like them."""
    for permission in security.get("permissions") or ():
        try:
            parse_access(permission["access"])
        except words.WordError:
            permission["access"] = "Execute, Edit"


def _bound(part: Json) -> None:
    """Leave out amounts whose text is of the pattern and out of bounds; write whole numbers as such."""
    for field, parse in _AMOUNTS.items():
        if part.get(field) is None:
            continue
        try:
            parse(part[field])
        except words.WordRangeError:
            del part[field]
    for field in ("retries", "nodes"):
        _make_whole(part, field)


def _leave_out_numbers(resources: Json) -> None:
    """Leave out texts that are written without quotes into a manifest, and that YAML reads as numbers."""
    for field, value in list(resources.items()):
        if isinstance(value, str) and not isinstance(value_of(value, None, plain=True), str):
            del resources[field]


def _make_whole(owner: Json, field: str) -> None:
    if isinstance(owner.get(field), float):
        owner[field] = int(owner[field])


def _cron(line: str) -> str:
    try:
        cron_fields(line)
    except CronError:
        return "0 0 * * 1"
    return line


def _keep_numbers(owner: Json, field: str) -> None:
    if any(True for _ in jsonnumbers.not_kept(owner.get(field))):
        owner[field] = None
