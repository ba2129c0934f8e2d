"""A collector of traces: takes OTLP over HTTP, and reads what came by the protocol's own definition."""

from __future__ import annotations

import base64
import binascii
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typing_extensions import override

_IDS: Final = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True, slots=True)
class Received:
    """A span as a collector understands it; ids are hexadecimal, times seconds since 1970."""

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    attributes: dict[str, Any]
    status: int
    message: str
    events: tuple[str, ...] = ()
    resource: dict[str, Any] = field(default_factory=dict)


def read(request: dict[str, Any]) -> list[Received]:
    """The spans of a request in JSON, read by the protocol's own definition: what it does not know fails."""
    message = ParseDict(_with_bytes(request), ExportTraceServiceRequest())
    spans = []
    for group in message.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            spans += [
                Received(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano / 1e9,
                    end=span.end_time_unix_nano / 1e9,
                    attributes=_values(span.attributes),
                    status=span.status.code,
                    message=span.status.message,
                    events=tuple(event.name for event in span.events),
                    resource=resource,
                )
                for span in scope.spans
            ]
    return spans


def _with_bytes(value: Any) -> Any:
    """With ids in base64: OTLP has them in hexadecimal, other than protobuf's usual JSON."""
    if isinstance(value, list):
        return [_with_bytes(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(binascii.unhexlify(inner)).decode() if key in _IDS else _with_bytes(inner)
        for key, inner in value.items()
    }


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """Takes traces at `/v1/traces`, or answers with `status`."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.endpoint = ""

    def spans(self, trace: str = "") -> list[Received]:
        """The spans that came, of one trace or of all."""
        received = [span for request in self.requests for span in read(request)]
        return [span for span in received if trace in ("", span.trace)]

    @contextmanager
    def serving(self) -> Iterator[Collector]:
        """Serve on loopback until the block is left."""
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
                status = collector.status if right else 404
                if status == 200:
                    collector.requests.append(json.loads(body))
                    collector.headers.append(dict(self.headers))
                answer = b"{}"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
