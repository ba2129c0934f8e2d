"""Merge patches of a status: applied to what is recorded they give what is wanted; nothing is sent twice."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.metadata import Condition, Meta
from nightcrawler_crds.kube.noticeviews import NoticeView
from nightcrawler_crds.kube.views import (
    AttemptView,
    ExecutionStatusView,
    ExecutionView,
    PodEventView,
    StepStatusView,
)
from nightcrawler_crds.v1alpha1 import MAX_PARAMETERS_BYTES, Phase, StepPhase
from nightcrawler_operator.decisions.execution import decide
from nightcrawler_operator.decisions.status import condition, merge_patch, sentence, status_patch
from nightcrawler_operator.decisions.status_budget import MAX_STATUS_BYTES, within_budget
from tests.support.merging import merged_status, without_nulls
from tests.support.snapshots import BEGAN, a_job, a_pod, a_snapshot, a_step, at

moments = st.integers(0, 10**6).map(at)
texts = st.text(max_size=8)
# An attempt's number is never taken back to none, a text may be.
steps = st.builds(
    StepStatusView,
    phase=st.sampled_from(get_args(StepPhase)),
    attempt=st.integers(0, 4),
    disruptions=st.integers(0, 3),
    start_time=st.none() | moments,
    completion_time=st.none() | moments,
    job_name=st.none() | texts,
    exit_code=st.none() | st.integers(0, 255),
    reason=st.none() | texts,
    message=st.none() | texts,
)
conditions = st.builds(
    Condition,
    type=st.sampled_from(["Accepted", "Placed", "Finished"]),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=texts,
    message=texts,
    last_transition_time=moments,
    observed_generation=st.none() | st.integers(1, 5),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ExecutionStatusView, ExecutionStatusView]:
    """A recorded and a wanted status; a step that is on record is never forgotten."""
    names = draw(st.lists(st.text(min_size=1, max_size=3), unique=True, max_size=5))
    known = draw(st.integers(0, len(names)))
    recorded = {name: draw(steps) for name in names[:known]}
    wanted = {
        name: recorded[name] if name in recorded and draw(st.booleans()) else draw(steps) for name in names
    }
    return draw(statuses(recorded)), draw(statuses(wanted))


def statuses(of_steps: dict[str, StepStatusView]) -> st.SearchStrategy[ExecutionStatusView]:
    return st.builds(
        ExecutionStatusView,
        phase=st.sampled_from(get_args(Phase)),
        message=st.none() | texts,
        environment=st.none() | texts,
        revision=st.none() | texts,
        start_time=st.none() | moments,
        completion_time=st.none() | moments,
        progress=st.none() | texts,
        conditions=st.lists(conditions, max_size=3).map(tuple),
        steps=st.just(of_steps),
    )


def after(recorded: ExecutionStatusView, patch: dict[str, Any]) -> ExecutionStatusView:
    return merged_status(ExecutionView(Meta(name="run"), status=recorded), patch).status


@given(pairs())
def test_the_patch_makes_of_what_is_recorded_what_is_wanted(
    pair: tuple[ExecutionStatusView, ExecutionStatusView],
) -> None:
    recorded, wanted = pair

    assert after(recorded, merge_patch(recorded, wanted)) == wanted


@given(pairs())
def test_the_patch_sends_only_what_changes(pair: tuple[ExecutionStatusView, ExecutionStatusView]) -> None:
    recorded, wanted = pair
    patch = merge_patch(recorded, wanted)

    for name, sent in patch.get("steps", {}).items():
        assert sent
        assert recorded.steps.get(name) != wanted.steps[name]
    assert (patch == {}) is (recorded == wanted)
    assert merge_patch(wanted, wanted) == {}


@given(moments, st.integers(0, 999_999))
def test_a_moment_within_a_second_is_written_once(moment: datetime, micro: int) -> None:
    # Kubernetes keeps whole seconds: what comes back must not look like a change for ever.
    fine = moment + timedelta(microseconds=micro)
    nothing = ExecutionStatusView()
    wanted = msgspec.structs.replace(nothing, completion_time=fine)

    assert after(nothing, merge_patch(nothing, wanted)).completion_time == moment


def test_a_new_attempt_takes_the_results_of_the_last_away() -> None:
    failed = StepStatusView("Retrying", 1, 0, at(1), at(2), "job-1", 1, "Error", "it failed")
    recorded = ExecutionStatusView(steps={"a": failed})
    wanted = ExecutionStatusView(steps={"a": StepStatusView("Pending", 2)})

    assert merge_patch(recorded, wanted) == {
        "steps": {
            "a": {
                "phase": "Pending",
                "attempt": 2,
                "startTime": None,
                "completionTime": None,
                "jobName": None,
                "exitCode": None,
                "reason": None,
                "message": None,
            }
        }
    }


@dataclass(frozen=True)
class Said:
    """A condition that is written again: before, now, and its lastTransitionTime."""

    before: str | None
    now: str
    since: float


TRANSITIONS = {
    "a new one holds from now": Said(None, "True", 9),
    "one that stays keeps its time": Said("True", "True", 0),
    "one that changes holds from now": Said("False", "True", 9),
}


@pytest.mark.parametrize("said", TRANSITIONS.values(), ids=TRANSITIONS)
def test_a_conditions_time_is_that_of_its_last_transition(said: Said) -> None:
    recorded = [] if said.before is None else [Condition("Accepted", said.before, last_transition_time=BEGAN)]

    new = condition("Accepted", said.now, "Valid", "other words", recorded, at(9), 3)

    assert (new.last_transition_time, new.message, new.observed_generation) == (
        at(said.since),
        "other words",
        3,
    )


def test_a_condition_of_another_type_lends_no_time() -> None:
    other = [Condition("Placed", "True", last_transition_time=BEGAN)]

    assert condition("Accepted", "True", "Valid", "", other, at(9), 1).last_transition_time == at(9)


ETCD_TAKES = 1536 * 1024
"""Bytes of one object."""
OF_FIELDS = 200
"""Bytes of a step in metadata.managedFields, besides its name."""


@pytest.mark.parametrize("name", ["step-{:04}", "\N{WINKING FACE}" * 96 + "{:04}"], ids=["short", "long"])
def test_a_thousand_steps_that_fail_with_long_messages_fit_into_one_object(name: str) -> None:
    steps = [a_step(name.format(number), retries=1) for number in range(1000)]
    failing = a_snapshot(*steps, order="Graph")
    failing.pods = [a_pod(step.name).exited(1, message="\N{WINKING FACE}" * 512) for step in steps]
    failing.jobs = [a_job(step.name) for step in steps]

    status = decide(failing.at(10).build()).status

    assert status is not None
    assert {step["phase"] for step in status["steps"].values()} == {"Retrying"}
    kept = len(msgspec.json.encode(status)) + sum(len(step.name.encode()) + OF_FIELDS for step in steps)
    assert kept + MAX_PARAMETERS_BYTES < ETCD_TAKES


def test_a_sentence_is_cut_to_what_the_schema_allows() -> None:
    said = sentence("a", "\N{WINKING FACE}" * 5000)

    assert len(said) == 4096
    assert said.startswith("step 'a' \N{WINKING FACE}")
    assert sentence("a", "failed") == "step 'a' failed"


def stored(status: ExecutionStatusView) -> int:
    """The bytes of a status as the API server keeps it: without nulls, and with <, > and & escaped."""
    whole = without_nulls(json.loads(msgspec.json.encode(status)))
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return len(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode())


def recipes(longest: int) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Texts by their one character and their length: Hypothesis shows examples, and these can be shown."""
    chars = st.sampled_from(["a", "<", "&", '"', "\\", "é", "\u2028", "\N{WINKING FACE}"])
    return st.lists(st.tuples(chars, st.integers(0, longest)), min_size=1, max_size=4)


@dataclass(frozen=True)
class Large:
    """A status of up to 1,000 steps with texts as long as the schema allows, and any characters."""

    messages: list[tuple[str, int]]
    reasons: list[tuple[str, int]]
    char: str
    count: int
    attempts: int
    events: int

    def status(self) -> ExecutionStatusView:
        messages, reasons = ([char * length for char, length in of] for of in (self.messages, self.reasons))
        of_steps = {
            f"{self.char * 96}{number:04}": StepStatusView(
                "Completed", 100, 5, at(1), at(2), "j" * 63, 255,
                reasons[number % len(reasons)], messages[number % len(messages)],
                attempts=self._attempts(),
            )
            for number in range(self.count)
        }  # fmt: skip
        said = [
            Condition(f"Type{n}", "True", "R" * 64, messages[n % len(messages)], at(1), 1) for n in range(6)
        ]
        notices = {
            f"retry/webhook/{number:0100}/1": NoticeView("Failed", at(1), at(1), 9, "e" * 512, at(2))
            for number in range(60)
        }
        return ExecutionStatusView(
            "Running", messages[0], "e" * 253, "r" * 253, at(1), at(2), "1/1000", tuple(said),
            notifications=notices, steps=of_steps,
        )  # fmt: skip

    def _attempts(self) -> tuple[AttemptView, ...] | None:
        """Attempts as a trace keeps them, with Events at level debug."""
        char, length = self.messages[0]
        events = tuple(PodEventView(at(3), "R" * 64, char * min(length, 200)) for _ in range(self.events))
        made = tuple(
            AttemptView(number, at(1), at(2), at(3), at(4), 137, "OutOfMemory", "n" * 63, events or None)
            for number in range(self.attempts)
        )
        return made or None


@given(
    st.builds(
        Large,
        recipes(4096),
        recipes(128),
        st.sampled_from(["a", '"', "\N{WINKING FACE}"]),
        st.sampled_from([1, 40, 500, 1000]),
        st.sampled_from([0, 0, 0, 2]),
        st.sampled_from([0, 4]),
    )
)
def test_no_status_outgrows_its_budget_whatever_it_holds(large: Large) -> None:
    wanted = large.status()
    kept = within_budget(wanted)

    assert stored(kept) <= MAX_STATUS_BYTES
    assert kept is wanted or stored(wanted) > MAX_STATUS_BYTES * 0.6
    assert within_budget(kept) is kept
    assert {n: s.phase for n, s in kept.steps.items()} == {n: s.phase for n, s in wanted.steps.items()}


@pytest.mark.parametrize(("events", "attempts", "left"), [(0, 1, (1, 1)), (8, 1, (1, 0)), (1, 16, (0, 0))])
def test_what_the_trace_keeps_goes_before_any_message(
    events: int, attempts: int, left: tuple[int, int]
) -> None:
    large = Large([("m", 300)], [("R", 10)], "a", 1000, attempts, events)
    kept = within_budget(large.status())
    assert {step.message for step in kept.steps.values()} == {"m" * 300}
    one = kept.steps["a" * 96 + "0000"].attempts or ()
    # Events that are dropped are empty, not missing: otherwise they would be collected again.
    assert (bool(one), bool(one and one[0].events is None)) == tuple(map(bool, left))


def test_what_was_shortened_is_written_once() -> None:
    wanted = ExecutionStatusView(
        steps={f"s{n}": StepStatusView("Failed", 1, message="<" * 4096) for n in range(999)}
    )
    recorded = after(ExecutionStatusView(), status_patch(ExecutionStatusView(), wanted))
    later = msgspec.structs.replace(recorded, steps={**recorded.steps, "s0": wanted.steps["s0"]})

    again = after(recorded, status_patch(recorded, later))

    assert status_patch(recorded, wanted) == {}
    assert (
        status_patch(again, msgspec.structs.replace(again, steps={**again.steps, "s0": later.steps["s0"]}))
        == {}
    )


def test_one_long_message_among_a_thousand_steps_is_kept_whole() -> None:
    quiet = {f"s{n}": StepStatusView("Completed", 1) for n in range(999)}
    wanted = ExecutionStatusView(steps={**quiet, "last": StepStatusView("Failed", 1, message="m" * 4096)})

    assert status_patch(ExecutionStatusView(), wanted)["steps"]["last"]["message"] == "m" * 4096


def test_a_key_that_is_gone_from_a_mapping_becomes_null() -> None:
    recorded = ExecutionStatusView(steps={"a": StepStatusView("Pending"), "b": StepStatusView("Pending")})
    wanted = ExecutionStatusView(steps={"a": StepStatusView("Pending")})

    assert merge_patch(recorded, wanted) == {"steps": {"b": None}}
