"""From a request's body to the desired spec, and its errors; pure.

Creating merges into an empty spec, updating into the current one (RFC 7396), so that both are
validated alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from nightcrawler_api import refusals
from nightcrawler_api.refusals import FieldError, at
from nightcrawler_api.workflows.schemas import ONLY_IN_ANSWERS
from nightcrawler_crds.kube.views import EnvironmentView, ProfileView
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.validation import (
    PodPolicy,
    Problem,
    find_environment,
    pointer_part,
    profile_problems,
    recipient_problems,
    unknown_environment,
    workflow_problems,
)

_ONLY_IN_ANSWERS_OF_STEPS: Final = ("status", "duration")
_ALWAYS_WRITTEN: Final = ("timeout", "retryDelay")
"""Fields of config that are written even if they repeat a response."""
_FREE_FORM: Final = ("podTemplate", "valueFrom", "envFrom", "default")
"""Fields in lists with free-form values, in which null may have a meaning."""
_ANY_VALUE: Final = "default"
"""The field of a parameter that may be null."""
_ENVIRONMENTS_FORM: Final = "must be a list of names, or an object of names with true or false"
_ENVIRONMENT_PLACE: Final = re.compile(r"/environments/(\d+)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINES: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def desired_spec(current: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The spec after merging a body into it."""
    changes = {key: value for key, value in body.items() if key not in ONLY_IN_ANSWERS}
    if "name" in changes:
        changes["displayName"] = changes.pop("name")
    if isinstance(changes.get("environments"), Mapping):
        ticked = changes.pop("environments")
        if "environments" in current or any(chosen is not None for chosen in ticked.values()):
            changes["environments"] = _chosen(current.get("environments") or [], ticked)
    elif isinstance(changes.get("environments"), list):
        changes["environments"] = _unique(changes["environments"])
    if isinstance(changes.get("steps"), list):
        before = {step["name"]: step for step in current.get("steps") or ()}
        changes["steps"] = [_definition(step, before) for step in changes["steps"]]
    merged = merge(
        current,
        {key: _without_nulls(value) if isinstance(value, list) else value for key, value in changes.items()},
    )
    assert isinstance(merged, dict)
    return merged


def without_repeated_defaults(
    body: Mapping[str, Any], current: Mapping[str, Any], shown: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A body without the values that only repeat defaults of the response `shown`.

    A body with read-only fields is a response sent back, and repeats defaults that the spec does not have: no
    environments, no retries, no resources. Written to the spec, they would override what they come from: the
    default environment, the option for retries, a compute profile. Durations come from the installation's
    defaults only, and are written: a later default must not end a run whose caller sent 24 hours.
    """
    if not any(field in body for field in ONLY_IN_ANSWERS):
        return body
    config = {key: value for key, value in shown["config"].items() if key not in _ALWAYS_WRITTEN}
    written = {**current, "name": current["displayName"]} if "displayName" in current else current
    return _changed(body, written, {**shown, "config": config})


def with_template(spec: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """A spec without steps, with a template's steps, config, parameters and order; its own fields win."""
    taken = {key: template[key] for key in ("steps", "order", "parameters") if key in template}
    own = {key: value for key, value in spec.items() if not (key == "steps" and value == [])}
    if "config" in template:
        own["config"] = merge(template["config"], own.get("config", {}))
    return {**taken, **own}


def validate(
    body: Mapping[str, Any],
    current: Mapping[str, Any] | None,
    spec: Mapping[str, Any],
    environments: Collection[EnvironmentView],
    policy: PodPolicy,
    profiles: Collection[ProfileView] = (),
    domains: Collection[str] = (),
) -> list[FieldError]:
    """The errors in a body or in the resulting spec; `current` is None when creating."""
    found = [
        *_names(body, spec, creating=current is None),
        *_environments(body, current or {}, environments),
    ]
    try:
        parsed = WorkflowSpec.model_validate(spec, strict=True)
    except ValidationError as error:
        named = {field.get("pointer") for field in found}
        model = [
            _in_body(field, body, spec)
            for field in refusals.from_model(error.errors(include_url=False), spec, known_fields())
        ]
        return found + [field for field in model if field.get("pointer") not in named]
    found += _texts(parsed)
    size = len(msgspec.json.encode(spec))
    problems = workflow_problems(parsed, policy, size=size, steps_required=False)
    problems = problems or [*_of_profiles(parsed, current, profiles), *recipient_problems(parsed, domains)]
    return found + refusals.from_problems(problems)


def _of_profiles(
    parsed: WorkflowSpec, current: Mapping[str, Any] | None, profiles: Collection[ProfileView]
) -> list[Problem]:
    """The problems of profiles that a change brings; that a profile has gone must not keep from others."""
    found = profile_problems(parsed, profiles)
    if not found or not current:
        return found
    try:
        before = WorkflowSpec.model_validate(current, extra="ignore")
    except ValidationError:
        return found
    there = {problem.message for problem in profile_problems(before, profiles)}
    return [problem for problem in found if problem.message not in there]


def merge(target: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396): objects merge, null removes, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that makes `new` of `old`; `new` has no null in its objects."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if inner := difference(before, value):
                patch[key] = inner
        elif key not in old or not _equal_as_json(before, value):
            patch[key] = value
    return patch


@lru_cache(maxsize=1)
def known_fields() -> tuple[str, ...]:
    """The names of all fields of a workflow, to suggest corrections."""
    schema = WorkflowSpec.model_json_schema()
    models = [schema, *schema["$defs"].values()]
    return tuple({"name"}.union(*(model.get("properties", {}) for model in models)) - {"displayName"})


def _changed(body: Mapping[str, Any], written: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    news: dict[str, Any] = {}
    for key, value in body.items():
        there = shown.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            inner = _changed(value, written.get(key) or {}, there)
            if inner or key in written:
                news[key] = inner
        elif key in written or key not in shown or not _equal_as_json(value, there):
            news[key] = value
    return news


def _equal_as_json(one: Any, other: Any) -> bool:
    # As JSON, because to Python 1, 1.0 and True are one.
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _chosen(current: Iterable[str], changes: Mapping[str, Any]) -> list[str]:
    """The environments, with the true ones added and the others removed."""
    kept = [name for name in current if changes.get(name, True)]
    return _unique([*kept, *(name for name, chosen in changes.items() if chosen)])


def _unique(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items)) if all(isinstance(item, str) for item in items) else items


def _definition(step: Any, before: Mapping[str, Mapping[str, Any]]) -> Any:
    """A step of a body merged into the current one of its name; null removes."""
    if not isinstance(step, Mapping):
        return step
    named = {key: value for key, value in step.items() if key not in _ONLY_IN_ANSWERS_OF_STEPS}
    name = step.get("name")
    there = before.get(name) if isinstance(name, str) else None
    if there is None:
        return named
    merged = {**there, **named}
    if isinstance(named.get("resources"), Mapping):
        merged["resources"] = merge(there.get("resources"), named["resources"])
    return merged


def _without_nulls(value: Any) -> Any:
    """A list without nulls in its objects: the API server distinguishes null from unset."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, Mapping):
        return {
            key: inner if key in _FREE_FORM else _without_nulls(inner)
            for key, inner in value.items()
            if inner is not None or key == _ANY_VALUE
        }
    return value


def _in_body(field: FieldError, body: Mapping[str, Any], spec: Mapping[str, Any]) -> FieldError:
    """An error in the list of environments, at its key if the body has an object instead."""
    place = _ENVIRONMENT_PLACE.fullmatch(field.get("pointer", ""))
    written = body.get("environments")
    if place is None or not isinstance(written, Mapping):
        return field
    name = spec["environments"][int(place[1])]
    return at(f"/environments/{pointer_part(name)}", field["detail"]) if name in written else field


def _names(body: Mapping[str, Any], spec: Mapping[str, Any], *, creating: bool) -> Iterator[FieldError]:
    if "displayName" in body:
        yield at("/displayName", "there is no such field; is it 'name' that was meant?")
    elif "displayName" not in spec:
        # A manifest may omit it, and an update of other fields need not add it.
        if "name" in body:
            yield at("/name", "a workflow must have a name; it cannot be removed")
        elif creating:
            yield at("/name", "is required")
    elif isinstance(spec["displayName"], str) and spec["displayName"] and not spec["displayName"].strip():
        yield at("/name", "must have more than spaces in it")


def _texts(spec: WorkflowSpec) -> Iterator[FieldError]:
    """Control characters, which would end up in terminals and logs."""
    for pointer, text, control in (
        ("/name", spec.display_name, _CONTROL),
        ("/description", spec.description, _CONTROL_BUT_LINES),
        *((f"/tags/{index}", tag, _CONTROL) for index, tag in enumerate(spec.tags or ())),
    ):
        if found := control.search(text or ""):
            yield at(
                pointer, f"has a control character, U+{ord(found[0]):04X}, at position {found.start() + 1}"
            )


def _environments(
    body: Mapping[str, Any], current: Mapping[str, Any], known: Collection[EnvironmentView]
) -> Iterator[FieldError]:
    """The errors in a body's environments; current ones are not checked again."""
    written = body.get("environments")
    wanted: list[tuple[str, str]] = []
    if isinstance(written, Mapping):
        for name, chosen in written.items():
            pointer = f"/environments/{pointer_part(name)}"
            if chosen is not None and not isinstance(chosen, bool):
                yield at(pointer, f"must be true or false, not {refusals.shown(chosen)}")
            elif chosen:
                wanted.append((pointer, name))
    elif isinstance(written, list):
        wanted = [
            (f"/environments/{index}", name) for index, name in enumerate(written) if isinstance(name, str)
        ]
    elif written is not None:
        yield at("/environments", f"{_ENVIRONMENTS_FORM}, not {refusals.shown(written)}")
    for pointer, name in wanted:
        if (
            known
            and name not in (current.get("environments") or ())
            and find_environment(name, known) is None
        ):
            yield at(pointer, unknown_environment(name, known))
