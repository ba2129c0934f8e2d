"""The export of traces on the wire, to a real receiver: what it gets, and what is said if it does not."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from nightcrawler_crds.tracing.otlp import trace_request
from nightcrawler_operator.effects.traces import exporter as module
from nightcrawler_operator.effects.traces.exporter import Exporter, ExportError
from nightcrawler_operator.settings import Settings
from tests.support.collector import Collector
from tests.support.messaging import FAILED, NOW, TOKEN
from tests.support.views import execution

REQUEST = trace_request(execution("exec-1", traceLevel="min", **FAILED), NOW)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector().serving() as serving:
        yield serving


@pytest.fixture
async def exporter(collector: Collector) -> AsyncIterator[Exporter]:
    made = Exporter(collector.endpoint + "/", {"authorization": TOKEN}, None)
    yield made
    await made.close()


async def test_a_trace_arrives_with_the_headers(collector: Collector, exporter: Exporter) -> None:
    await exporter.export(REQUEST)
    assert [span.name for span in collector.spans()] == ["wf-1001", "train"]
    assert collector.headers[0]["authorization"] == TOKEN


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (413, True), (401, False), (404, False), (429, False), (503, False)]
)
async def test_a_refusal_is_final_unless_somebody_may_put_it_right(
    collector: Collector, exporter: Exporter, status: int, final: bool
) -> None:
    collector.status = status
    with pytest.raises(ExportError, match=str(status)) as refused:
        await exporter.export(REQUEST)
    assert refused.value.final == final


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://nowhere.invalid:4318"])
async def test_a_collector_that_cannot_be_reached_is_tried_again(endpoint: str) -> None:
    made = Exporter(endpoint, {"authorization": TOKEN}, None)
    with pytest.raises(ExportError, match="cannot be reached") as refused:
        await made.export(REQUEST)
    await made.close()
    assert not refused.value.final
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "warned"),
    [
        (b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}', True),
        (b'{"partialSuccess": {}}', False),
        (b"{}", False),
        (b"", False),
        (b"\x0a\x00", False),
    ],
)
def test_spans_that_were_not_taken_are_logged(
    answer: bytes, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        module._report_partial(answer)
    assert ("did not take 2 spans" in caplog.text) == warned


def test_headers_are_written_as_opentelemetry_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTCRAWLER_OTLP_HEADERS", "authorization=Bearer%20abc, x-team=data=1,")
    monkeypatch.setenv("NIGHTCRAWLER_OTLP_ENDPOINT", "https://collector.example/base")
    settings = Settings()
    assert settings.exporter_headers == {"authorization": "Bearer abc", "x-team": "data=1"}
    assert settings.limits.exports_traces
    monkeypatch.setenv("NIGHTCRAWLER_OTLP_ENDPOINT", f"collector:{TOKEN}")
    with pytest.raises(ValueError, match="address of a collector") as refused:
        Settings()
    assert "NIGHTCRAWLER_OTLP_ENDPOINT cannot be used" in str(refused.value)
