"""Messages in the words of each channel: a CloudEvent, a message for Slack, an e-mail. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from nightcrawler_crds import names, words
from nightcrawler_crds.clock import to_wire
from nightcrawler_operator.decisions.notifications.facts import Facts, lasted

CLOUD_EVENT: Final = "application/cloudevents+json; charset=utf-8"
_TYPES: Final = {
    "start": "dev.nightcrawler.execution.started",
    "complete": "dev.nightcrawler.execution.completed",
    "fail": "dev.nightcrawler.execution.failed",
    "cancel": "dev.nightcrawler.execution.cancelled",
    "retry": "dev.nightcrawler.execution.retrying",
    "late": "dev.nightcrawler.execution.late",
    "skip": "dev.nightcrawler.schedule.skipped",
}
_SIGNS: Final = {
    "start": ":arrow_forward:",
    "complete": ":white_check_mark:",
    "fail": ":x:",
    "cancel": ":no_entry_sign:",
    "retry": ":repeat:",
    "late": ":hourglass_flowing_sand:",
    "skip": ":fast_forward:",
}
_LONGEST_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail without its addresses."""

    subject: str
    text: str
    html: str


def cloud_event(facts: Facts) -> dict[str, Any]:
    """A CloudEvent 1.0, as structured JSON."""
    path = f"/apis/{names.API_VERSION}/namespaces/{facts.namespace}/workflows/{facts.workflow}"
    return {
        "specversion": "1.0",
        "id": facts.id,
        "source": path,
        "type": _TYPES[facts.event],
        "subject": facts.execution or facts.workflow,
        "time": to_wire(facts.time),
        "datacontenttype": "application/json",
        "data": _data(facts),
    }


def _data(facts: Facts) -> dict[str, Any]:
    data: dict[str, Any] = {
        "event": facts.event,
        "title": facts.title,
        "namespace": facts.namespace,
        "workflow": {"id": facts.workflow, "name": facts.name},
        "message": facts.detail or None,
        "link": facts.link,
    }
    if facts.execution is not None:
        data["execution"] = {
            "id": facts.execution,
            "phase": facts.phase,
            "environment": facts.environment,
            "startTime": to_wire(facts.started) if facts.started else None,
            "endTime": to_wire(facts.ended) if facts.ended else None,
            "duration": words.clock_long(facts.seconds) if facts.seconds is not None else None,
            "progress": facts.progress,
        }
        data["steps"] = [
            {
                "name": step.name,
                "phase": step.phase,
                "attempt": step.attempt,
                "message": step.message or None,
                "duration": words.clock_long(step.seconds) if step.seconds is not None else None,
            }
            for step in facts.steps
        ]
    else:
        data["times"] = [
            {"time": to_wire(one.time), "outcome": one.outcome, "reason": one.reason} for one in facts.times
        ]
    return _what_is_set(data)


def _what_is_set(data: dict[str, Any]) -> dict[str, Any]:
    return {key: _inner(value) for key, value in data.items() if value is not None}


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return _what_is_set(value)
    return [_inner(one) for one in value] if isinstance(value, list) else value


def slack_message(facts: Facts) -> dict[str, Any]:
    """One message in Slack's markup, which the tools that imitate its webhooks take too."""
    title = f"{_SIGNS[facts.event]} *{_slack(facts.title)}*"
    lines = [title, *(_slack(line) for line in _sentences(facts))]
    if facts.link:
        lines.append(f"<{_slack(facts.link)}|{_slack(facts.execution or facts.workflow)}>")
    return {"text": "\n".join(lines), "unfurl_links": False}


def _slack(text: str) -> str:
    """Without what Slack takes for a link, a mention, or markup that ends early."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("*", "\u2217")


def mail(facts: Facts) -> Mail:
    """An e-mail, as text and as HTML."""
    rows = list(_rows(facts))
    text = [f"{facts.title}.", ""]
    text += [f"{sentence}\n" for sentence in _sentences(facts)]
    text += [f"{name + ':':<14}{value}" for name, value in rows]
    if facts.link:
        text += ["", facts.link]
    return Mail(facts.title[:_LONGEST_SUBJECT], "\n".join(text) + "\n", _html(facts, rows))


def _html(facts: Facts, rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th align="left" style="padding-right:1em">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in _sentences(facts))
    link = f'<p><a href="{escape(facts.link)}">{escape(facts.link)}</a></p>' if facts.link else ""
    return (
        '<!DOCTYPE html><html lang="en"><body style="font-family:sans-serif">'
        f"<h3>{escape(facts.title)}</h3>{sentences}<table>{cells}</table>{link}</body></html>"
    )


def _sentences(facts: Facts) -> Iterator[str]:
    """What to say besides the title: the message of the run, and those of steps that say more."""
    if facts.detail:
        yield facts.detail
    for step in facts.steps:
        if step.message and step.message not in facts.detail:
            yield step.message


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "Workflow", facts.name if facts.name == facts.workflow else f"{facts.name} ({facts.workflow})"
    yield "Namespace", facts.namespace
    if facts.execution is None:
        for one in facts.times:
            yield "No run for", f"{to_wire(one.time)} ({one.reason})"
        return
    yield "Execution", facts.execution
    if facts.environment:
        yield "Environment", facts.environment
    if facts.started:
        yield "Started", to_wire(facts.started)
    if facts.ended:
        yield "Ended", to_wire(facts.ended)
    if facts.seconds is not None:
        yield "Duration" if facts.ended else "So far", lasted(facts.seconds)
    if facts.progress:
        yield "Steps", f"{facts.progress} completed"
    for step in facts.steps:
        took = f", {lasted(step.seconds)}" if step.seconds is not None else ""
        yield "Step", f"{step.name}: {step.phase} (attempt {step.attempt}{took})"
