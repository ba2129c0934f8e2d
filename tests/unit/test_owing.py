"""Which runs owe something, and which of them is the oldest when there are too many."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.connection import Connection
from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.store import Store
from nightcrawler_crds.kube.views import OwingView
from nightcrawler_operator.cluster.state import ClusterState
from nightcrawler_operator.keys import DutyKey, WorkKey
from nightcrawler_operator.limits import Limits
from tests.support.snapshots import wire
from tests.support.views import execution


def owing(name: str, ended: float, version: int = 1, **changes: Any) -> OwingView:
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    status = {"phase": "Completed", "completionTime": wire(ended), "settled": False, "duties": ["Archive"]}
    body = {"metadata": meta | changes.pop("metadata", {}), "status": status | changes}
    return msgspec.convert(body, OwingView, strict=False)


class Known:
    """Caches in which two runs may owe something, and the keys that they have queued."""

    def __init__(self, most: int = 2) -> None:
        store = Store(Connection(Identity("http://localhost"), "test"))
        self.woken: list[WorkKey] = []
        self.cluster = ClusterState(store, "", self.woken.append, Limits(max_owing_runs=most))
        self.owing = self.cluster.owing

    @property
    def too_many(self) -> str | None:
        key = self.owing.one_too_many()
        return key and key[1]


def test_a_run_that_ends_and_owes_something_is_known_before_the_watch_reports_it() -> None:
    known = Known()
    known.cluster.record_own_write(execution("run", phase="Running"))
    known.cluster.record_own_write(
        execution(
            "run", version=2, phase="Failed", settled=False, duties=["Logs"], steps={"a": {"phase": "Failed"}}
        )
    )
    assert DutyKey("default", "run") in known.woken
    assert known.cluster.executions.get(("default", "run")) is None
    kept = known.owing.get(("default", "run"), "uid-of-run")
    assert kept is not None
    assert kept.status.duties == ("Logs",)


def test_a_run_that_owes_nothing_is_not_listed() -> None:
    known = Known()
    known.cluster.record_own_write(execution("run", phase="Completed"))
    assert not list(known.owing)


def test_what_is_settled_is_not_brought_back_by_a_late_event() -> None:
    known = Known()
    known.owing.record(owing("run", 1))
    known.owing.record(owing("run", 1, version=3, settled=True, duties=None))
    known.owing.informer.cache.upsert(owing("run", 1, version=2))
    assert not list(known.owing)


def test_above_the_limit_the_run_that_ended_first_is_queued() -> None:
    known = Known(most=2)
    for name, ended in (("b", 20.0), ("a", 10.0)):
        known.owing.record(owing(name, ended))
    assert known.too_many is None
    known.woken.clear()
    known.owing.record(owing("c", 30))
    assert known.woken == [DutyKey("default", "c"), DutyKey("default", "a")]
    assert known.too_many == "a"
    known.owing.record(owing("a", 10, version=2, settled=True, duties=None))
    assert known.too_many is None


def test_a_run_that_is_being_deleted_or_unreadable_does_not_block_the_next() -> None:
    known = Known(most=1)
    known.owing.record(owing("going", 1))
    known.owing.record(owing("oldest", 2))
    known.owing.record(owing("next", 3))
    known.owing.informer.cache.upsert(owing("spoilt", 0, settled=None, duties=None))
    assert known.too_many == "going"
    known.owing.record(owing("going", 1, version=2, metadata={"deletionTimestamp": wire(9)}))
    assert known.too_many == "oldest"


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 9)), max_size=300))
def test_the_oldest_is_found_after_any_changes_and_little_is_kept(
    story: list[tuple[int, bool, int]],
) -> None:
    known = Known(most=3)
    there: dict[str, int] = {}
    for version, (number, comes, moment) in enumerate(story, start=1):
        name = f"r{number}"
        ended = there.get(name, moment)
        known.owing.record(owing(name, ended, version, settled=not comes))
        if comes:
            there[name] = ended
        else:
            there.pop(name, None)
        oldest = min(((when, one) for one, when in there.items()), default=None)
        assert known.too_many == (oldest[1] if oldest and len(there) > 3 else None)
    assert len(known.owing._by_age) <= 64 + 2 * 31 + 1
