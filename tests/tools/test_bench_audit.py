"""Counting requests in an audit log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench import audit
from tests.bench.audit import Asked
from tests.bench.engines.nightcrawler import NIGHTCRAWLER
from tests.bench.rows import cost

OPERATOR = "nightcrawler-operator"


def _line(
    agent: str,
    verb: str,
    resource: str = "jobs",
    *,
    subresource: str = "",
    stage: str = "ResponseComplete",
    **more: Any,
) -> str:
    about = {"resource": resource} | ({"subresource": subresource} if subresource else {})
    event = {"stage": stage, "verb": verb, "userAgent": agent, "objectRef": about, **more}
    return json.dumps(event) + "\n"


def test_requests_are_counted_by_agent_verb_and_subresource() -> None:
    counts = audit.count(
        [
            _line(f"{OPERATOR}/0.1 (linux)", "create"),
            _line(OPERATOR, "create"),
            _line(OPERATOR, "patch", "workflowexecutions", subresource="status"),
            _line("kwok/v0.7", "patch", "pods", subresource="status"),
        ]
    )
    assert counts == {
        Asked(OPERATOR, "create", "jobs"): 2,
        Asked(OPERATOR, "patch", "workflowexecutions/status"): 1,
        Asked("kwok", "patch", "pods/status"): 1,
    }


def test_a_watch_counts_once_and_half_a_line_not_at_all() -> None:
    counts = audit.count(
        [
            _line(OPERATOR, "watch", "pods", stage="ResponseStarted"),
            _line(OPERATOR, "watch", "pods"),
            _line(OPERATOR, "create")[:-20],
        ]
    )
    assert counts == {Asked(OPERATOR, "watch", "pods"): 1}


def test_a_request_without_a_resource_counts_by_its_path() -> None:
    event = {"stage": "ResponseComplete", "verb": "get", "userAgent": "curl", "requestURI": "/readyz?verbose"}
    assert audit.count([json.dumps(event) + "\n"]) == {Asked("curl", "get", "/readyz"): 1}


def test_own_writes_are_all_but_the_lease_and_writes_for_others_are_listed_beside_them() -> None:
    lines = [
        *[_line(OPERATOR, "create")] * 10,
        *[_line(OPERATOR, "create", "pods")] * 10,
        *[_line(OPERATOR, "patch", "jobs", subresource="status")] * 9,
        *[_line(OPERATOR, "patch", "workflowexecutions", subresource="status")] * 11,
        _line(OPERATOR, "patch", "workflows", subresource="status"),
        _line(OPERATOR, "deletecollection"),
        *[_line(OPERATOR, "patch", "leases")] * 4,
        *[_line(OPERATOR, "create", "events")] * 2,
        *[_line(OPERATOR, "get", "workflows")] * 5,
        *[_line("kwok", "patch", "pods", subresource="status")] * 20,
        *[_line("kwok", "update", "leases")] * 9,
        *[_line("kube-scheduler", "create", "events")] * 10,
        *[_line("bench", "create", "workflowexecutions")] * 3,
    ]
    counts = audit.count(lines)
    assert cost.requests(counts, NIGHTCRAWLER, 10) == {
        "own_requests_per_step": 2.3,
        "own_writes_per_step": 4.2,
        "own_events_per_step": 0.2,
        "cluster_requests_per_step": 7.4,
    }
    tables = cost.tables(counts, OPERATOR, 10)
    own = tables[f"requests a step of {OPERATOR}"]
    assert own["get workflows"] == 0.5
    assert own["patch leases"] == 0.4
    assert sum(own.values()) == pytest.approx(5.3)
    assert "create workflowexecutions" not in tables["requests a step of the others"]
    assert tables["writes a step by user agent"]["kwok"] == 2.9
