"""What GET answers of a workflow can be sent back by PUT: nothing changes but what is changed in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state.index import WorkflowEntry
from nightcrawler_api.state.protection import Protections
from nightcrawler_api.state.runs import Runs
from nightcrawler_api.workflows import drafts, presenter
from nightcrawler_crds.kube.views import ProfileView
from nightcrawler_crds.validation import PodPolicy
from tests.support.snapshots import a_profile
from tests.support.views import at, workflow
from tests.support.workflowspecs import Spec, specs

PROFILES = (a_profile("small", resources={"cpu": 4, "memory": "16 GB"}),)
FALLBACKS = presenter.Fallbacks(cpu="2 cores", timeout=7200.0)
SHOWN_TIMES = {"timeout": "2 hours", "retryDelay": "30 seconds"}


def shown(spec: Spec) -> dict[str, Any]:
    """What GET answers of a workflow."""
    view = workflow(**spec)
    entry = WorkflowEntry(view, Runs(), Protections().of(view))
    found: dict[str, Any] = json.loads(
        json.dumps(presenter.detail(entry, FALLBACKS, at("12:00:00"), PROFILES))
    )
    return found


def changed(current: Spec, body: dict[str, Any], profiles: Sequence[ProfileView] = PROFILES) -> Spec:
    """The spec after a PUT."""
    body = dict(drafts.without_repeated_defaults(body, current, shown(current)))
    spec = drafts.desired_spec(current, body)
    assert drafts.validate(body, current, spec, (), PodPolicy(), profiles) == []
    return spec


def with_times(spec: Spec) -> Spec:
    """A spec with the times that an answer shows, which are written when it is sent back."""
    return {**spec, "config": {**SHOWN_TIMES, **spec.get("config", {})}}


@given(specs(), st.booleans())
def test_an_answer_sent_back_changes_nothing_but_the_times_that_it_showed(spec: Spec, profile: bool) -> None:
    if profile:
        spec = {**spec, "config": {**spec.get("config", {}), "computeProfile": "small"}}
    once = changed(spec, shown(spec))
    assert once == with_times(spec)
    assert changed(once, shown(once)) == once


@given(specs(), st.sampled_from(["description", "priority", "tags", "suspend", "maxRunning"]), specs())
def test_of_an_answer_that_was_edited_the_edited_field_changes(spec: Spec, field: str, other: Spec) -> None:
    body = {**shown(spec), field: other.get(field)}
    expected = with_times(spec)
    expected.pop(field, None)
    if field in other and (field in spec or other[field] != shown(spec).get(field)):
        expected[field] = other[field]
    assert changed(spec, body) == expected


@given(specs().filter(lambda spec: spec.get("steps")), st.data())
def test_steps_of_an_answer_can_be_moved_and_left_out(spec: Spec, data: st.DataObject) -> None:
    kept = data.draw(st.permutations(shown(spec)["steps"]).map(lambda steps: steps[1:]))
    after = changed(spec, {"steps": kept})
    before = {step["name"]: step for step in spec["steps"]}
    assert after["steps"] == [before[step["name"]] for step in kept]
