"""The row of lists: what there is to list, what is asked, how answers are read and counted."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nightcrawler_crds.v1alpha1 import WorkflowExecutionSpec, WorkflowExecutionStatus, WorkflowSpec
from tests.bench import catalogue
from tests.bench.dashboards import Looks, Visit, _Clients
from tests.bench.engines import Defined
from tests.bench.line import Answer, read
from tests.bench.questions import KINDS, PAGE, Question, Visitor, answered
from tests.bench.rows.list import figures
from tests.bench.shapes import chain
from tests.bench.sizes import FULL, SHORT, Sizes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUNS = [3] * 400
PARENT = Defined("wf-1", "uid-1", chain(5, 1))

# --- what there is to list -------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(20))
def test_everything_in_the_catalogue_is_accepted_by_the_api_server(number: int) -> None:
    WorkflowSpec.model_validate(catalogue.workflow(number)["spec"], extra="forbid")
    WorkflowExecutionSpec.model_validate(catalogue.execution(number, PARENT)["spec"], extra="forbid")
    for status in (catalogue.ended(number, NOW), catalogue.running(number, 3, NOW)):
        read = WorkflowExecutionStatus.model_validate(status, extra="forbid")
        assert list(read.steps or {}) == list(catalogue.STEPS)


def test_the_catalogue_is_the_same_each_time_and_varied() -> None:
    made = [catalogue.workflow(number) for number in range(200)]
    assert made == [catalogue.workflow(number) for number in range(200)]
    specs = [workflow["spec"] for workflow in made]
    assert len({spec["displayName"] for spec in specs}) == 200
    assert {spec.get("priority") for spec in specs} == {None, "low", "high", "critical"}
    assert 0 < sum("schedule" in spec["config"] for spec in specs) < 30
    phases = Counter(catalogue.ended(number, NOW)["phase"] for number in range(500))
    assert phases["Completed"] > phases["Failed"] > phases["Cancelled"] > 0


def test_a_run_gets_one_step_further_a_turn() -> None:
    progress = [catalogue.running(2, turn, NOW)["progress"] for turn in range(5)]
    assert progress == ["2/5", "3/5", "4/5", "0/5", "1/5"]


def test_some_workflows_have_many_runs_and_most_have_some() -> None:
    counts = Counter(catalogue.workflow_of(run, 100) for run in range(1_000))
    assert set(counts) <= set(range(100))
    assert len(counts) > 80
    assert max(counts.values()) > 5 * 10


# --- what is asked ---------------------------------------------------------------------------------


def test_all_kinds_of_requests_are_sent_in_their_proportions() -> None:
    visitor = Visitor("a seed", RUNS)
    asked = [visitor.ask() for _ in range(4_000)]
    again = sum(question.again for question in asked) / len(asked)
    assert 0.35 < again < 0.45
    new = [urlsplit(question.path) for question in asked if not question.again]
    names = Counter(name for url in new for name in parse_qs(url.query))
    assert {"pageSize", "page", "status", "priority", "search", "limit", "offset"} == set(names)
    searches = [question for question in asked if question.kind == "search" and not question.again]
    assert 0.15 < len(searches) / len(new) < 0.25
    pages = [int(parse_qs(url.query)["page"][0]) for url in new if "page=" in url.query]
    assert min(pages) > len(RUNS) // PAGE // 2
    assert max(pages) == len(RUNS) // PAGE


def test_a_repeated_request_equals_the_one_before() -> None:
    visitor = Visitor("another seed", RUNS)
    asked = [visitor.ask() for _ in range(200)]
    for before, question in itertools.pairwise(asked):
        if question.again:
            assert (question.path, question.kind) == (before.path, before.kind)
    assert not asked[0].again


def test_a_response_is_counted_by_its_kind() -> None:
    assert answered(Question("/x", "search"), 200) == "search"
    assert answered(Question("/x", "search", again=True), 200) == "search"
    assert answered(Question("/x", again=True), 304) == "not modified"
    for question, status in ((Question("/x"), 304), (Question("/x", again=True), 503)):
        with pytest.raises(RuntimeError, match="/x was answered"):
            answered(question, status)


# --- how answers are read --------------------------------------------------------------------------

_WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: W/"aB"\r\nx: y\r\n\r\nhello'
_NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\netag: W/"aB"\r\n\r\n'


def test_responses_are_read_once_they_are_complete() -> None:
    assert read(_WHOLE) == Answer(200, b'W/"aB"', b"hello")
    assert read(_NOT_MODIFIED) == Answer(304, b'W/"aB"', b"")
    for answer in (_WHOLE, _NOT_MODIFIED):
        assert all(read(answer[:length]) is None for length in range(len(answer)))


@pytest.mark.parametrize("as_fast", [True, False])
async def test_dashboards_poll_with_the_tag_and_count_the_responses(as_fast: bool) -> None:
    asked = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        asked["all"] += 1
        if request.headers.get("If-None-Match") == 'W/"x"':
            asked["304"] += 1
            return web.Response(status=304, headers={"ETag": 'W/"x"'})
        return web.json_response({"path": request.path_qs}, headers={"ETag": 'W/"x"'})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with TestServer(application, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        visit = Visit(url=url, clients=5, seconds=2 if not as_fast else 0.3, as_fast=as_fast, runs=RUNS)
        seen = await _Clients(visit).run()
    assert seen.count == asked["all"]
    assert len(seen.of("not modified")) == asked["304"]
    assert set(seen.answers) <= set(KINDS)
    if not as_fast:
        assert seen.count == 10
    assert seen.rate > 0


# --- figures ---------------------------------------------------------------------------------------


def test_times_are_those_of_the_usual_pace_and_the_rate_that_of_saturation() -> None:
    calm = Looks(
        answers={"page": [0.001] * 98 + [0.5, 0.5], "search": [0.02], "not modified": [0.002]},
        rate=50,
        cpu_seconds=1,
        bytes=1,
    )
    rush = Looks(answers={"page": [9.0]}, rate=4321.4, cpu_seconds=1, bytes=1)
    assert figures(calm, rush) == {
        "p99_ms": 500,
        "search_p99_ms": 20,
        "not_modified_p99_ms": 2,
        "rps": 4321,
    }


def test_at_every_size_some_runs_have_ended() -> None:
    for sizes in (SHORT, Sizes(), FULL):
        assert 0 < sizes.list_live < sizes.list_runs
