"""A trace as an OTLP request in JSON (`ExportTraceServiceRequest`), which collectors take at `/v1/traces`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from nightcrawler_crds.kube.views import ExecutionView
from nightcrawler_crds.tracing import ids
from nightcrawler_crds.tracing.spans import Span, SpanEvent, Value, spans_of

SERVICE: Final = "nightcrawler"
_INTERNAL: Final = 1
"""The kind of a span that is neither a request nor the answer to one."""


def trace_request(execution: ExecutionView, now: datetime) -> dict[str, Any]:
    """The trace of a run, as it is recorded."""
    trace = ids.trace_id(execution.metadata.uid)
    resource = {"service.name": SERVICE, "k8s.namespace.name": execution.metadata.namespace}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [
                    {
                        "scope": {"name": SERVICE},
                        "spans": [_span(trace, span) for span in spans_of(execution, now)],
                    }
                ],
            }
        ]
    }


def _span(trace: str, span: Span) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": trace,
        "spanId": span.id,
        **({"parentSpanId": span.parent} if span.parent else {}),
        "name": span.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.start),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
    }
    if span.events:
        shown["events"] = [_event(event) for event in span.events]
    if span.status:
        shown["status"] = {"code": span.status, **({"message": span.message} if span.message else {})}
    return shown


def _event(event: SpanEvent) -> dict[str, Any]:
    return {
        "name": event.name,
        "timeUnixNano": _nanoseconds(event.time),
        "attributes": _attributes(event.attributes),
    }


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}  # 64 bits are text in JSON
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}


def _nanoseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1_000_000) * 1_000)
