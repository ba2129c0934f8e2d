"""The status of an execution as it shall be, and the merge patch that makes it so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from nightcrawler_crds.clock import to_wire
from nightcrawler_crds.kube.metadata import Condition
from nightcrawler_crds.kube.views import ExecutionStatusView, StepStatusView
from nightcrawler_crds.plaintext import plain

_LONGEST: Final = 4096
_ALL_MESSAGES: Final = 256 * 1024
"""Bytes for the messages of all steps: with what else 1,000 steps have in it, an execution has to stay
below the 1.5 MiB that etcd takes, or nothing more could be recorded of it, its end included."""

_STEP_FIELDS = tuple(field.name for field in msgspec.structs.fields(StepStatusView))
_WIRE = {field.name: field.encode_name for field in msgspec.structs.fields(StepStatusView)}
_STATUS_WIRE = {field.name: field.encode_name for field in msgspec.structs.fields(ExecutionStatusView)}


def condition(
    kind: str,
    status: str,
    reason: str,
    message: str,
    recorded: Iterable[Condition],
    now: datetime,
    generation: int,
) -> Condition:
    """A condition; its transition time changes only with its status."""
    before = next((c for c in recorded if c.type == kind), None)
    since = before.last_transition_time if before is not None and before.status == status else None
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=plain(message)[:_LONGEST],
        last_transition_time=since or now,
        observed_generation=generation or None,
    )


def sentence(step: str, message: str, steps: int) -> str:
    """What is said of a step of a run of so many `steps`: the more there are, the less of it is kept.

    Others' words are cleaned where they are taken up; here once more, so that no terminal is commanded by
    any that came another way (an admission webhook's refusal).
    """
    said = plain(f"step {step!r} {message}").encode()
    return said[: min(_LONGEST, _ALL_MESSAGES // max(steps, 1))].decode(errors="ignore")


def merge_patch(recorded: ExecutionStatusView, wanted: ExecutionStatusView) -> dict[str, Any]:
    """The smallest merge patch from one status to the other; empty if they agree.

    What is no longer set becomes null; of `steps`, only those that changed are sent, and
    of these only the fields that did.
    """
    patch: dict[str, Any] = {}
    for name, wire in _STATUS_WIRE.items():
        old, new = getattr(recorded, name), getattr(wanted, name)
        if name == "steps":
            steps = _steps_patch(old, new)
            if steps:
                patch["steps"] = steps
        elif name == "conditions":
            if old != new:
                patch["conditions"] = [conditions_to_wire(c) for c in new]
        elif old != new:
            patch[wire] = _wire_value(new)
    return patch


def _steps_patch(
    recorded: Mapping[str, StepStatusView], wanted: Mapping[str, StepStatusView]
) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for name, new in wanted.items():
        old = recorded.get(name)
        if old == new:
            continue
        if old is None:
            patch[name] = {
                _WIRE[field]: _wire_value(value)
                for field in _STEP_FIELDS
                if (value := getattr(new, field)) is not None and (field != "disruptions" or value)
            }
        else:
            patch[name] = {
                _WIRE[field]: _wire_value(getattr(new, field))
                for field in _STEP_FIELDS
                if getattr(old, field) != getattr(new, field)
            }
    return patch


def conditions_to_wire(condition: Condition) -> dict[str, Any]:
    """A condition as it is written."""
    wire: dict[str, Any] = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": _wire_value(condition.last_transition_time),
    }
    if condition.observed_generation:
        wire["observedGeneration"] = condition.observed_generation
    return wire


def _wire_value(value: Any) -> Any:
    return to_wire(value) if isinstance(value, datetime) else value
