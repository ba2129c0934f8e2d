"""Searches that are kept find what a search of all would, whatever has changed in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.state import searches
from nightcrawler_api.state.index import Index, WorkflowQuery
from nightcrawler_api.state.searches import Searches
from nightcrawler_crds.kube.views import WorkflowView
from tests.support.views import workflow

WORDS = ("night", "train", "nothing")


def found(index: Index, search: str) -> list[str]:
    return [entry.view.metadata.name for entry in index.page(0, 100, WorkflowQuery(search=search)).entries]


changes = st.tuples(st.integers(0, 5), st.none() | st.sampled_from(["Night", "Train", "Night train", ""]))
"""A workflow by its number, and its new name for people; None deletes it."""


@given(st.lists(changes, max_size=30))
def test_a_search_finds_the_workflows_as_they_are_now(made: list[tuple[int, str | None]]) -> None:
    index, known = Index(), dict[int, WorkflowView]()
    for version, (number, name) in enumerate(made):
        # Not in the order of their creation.
        created = f"2025-07-10T14:00:{(number * 4) % 7:02}Z"
        old = known.pop(number, None)
        if name is not None:
            known[number] = workflow(f"wf-{number}", created=created, version=version, displayName=name)
        index.workflow_changed(old, known.get(number))
        for word in WORDS:
            assert sorted(found(index, word)) == sorted(
                view.metadata.name
                for view in known.values()
                if word in (view.spec["displayName"] or view.metadata.name).casefold()
            )
            assert found(index, word) == found(index, word)


def test_a_search_after_a_change_of_something_else_shows_the_change() -> None:
    index = Index()
    before = workflow("wf", displayName="Night", priority="low")
    index.workflow_changed(None, before)
    assert found(index, "night") == ["wf"]
    index.workflow_changed(before, workflow("wf", version=2, displayName="Night", priority="high"))
    (entry,) = index.page(0, 10, WorkflowQuery(search="night")).entries
    assert entry.priority == "high"
    assert index.page(0, 10, WorkflowQuery(search="night", priority="low")).total == 0


class Text:
    """Something to be searched for, which counts how often it was looked at."""

    looks = 0

    @property
    def text(self) -> str:
        """Whatever is searched for."""
        Text.looks += 1
        return "abc"


def test_only_the_latest_searches_are_kept() -> None:
    kept, entries = Searches(), [Text()]
    for number in range(searches._MOST + 1):
        kept.find(f"a{number}", entries)
    looks = Text.looks
    kept.find("a1", entries)
    assert Text.looks == looks
    kept.find("a0", entries)
    assert Text.looks == looks + 1
    kept.clear()
    kept.find("a1", entries)
    assert Text.looks == looks + 2
