"""Caches: the newest version wins, however messages arrive; what is gone stays gone."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_crds.kube.cache import Cache
from nightcrawler_crds.kube.nativeviews import JobView

Reported = list[tuple[JobView | None, JobView | None]]


def an_object(version: int, *, name: str = "a", uid: str = "u1") -> JobView:
    meta = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    return msgspec.convert({"metadata": meta}, JobView)


def a_cache(*objects: JobView) -> tuple[Cache[JobView], Reported]:
    """A cache with these objects, and the changes it reports from now on."""
    reported: Reported = []
    cache: Cache[JobView] = Cache(lambda old, new: reported.append((old, new)))
    for one in objects:
        cache.upsert(one)
    reported.clear()
    return cache, reported


def forget(cache: Cache[JobView], gone: JobView) -> bool:
    meta = gone.metadata
    return cache.forget(meta.key, meta.uid, meta.version)


A: tuple[str, str] = ("ns", "a")


def test_a_newer_version_replaces_an_older_one_and_is_reported() -> None:
    cache, reported = a_cache(one := an_object(1))

    assert cache.upsert(two := an_object(2))
    assert (cache.get(A), reported) == (two, [(one, two)])


def test_an_older_version_never_wins() -> None:
    cache, reported = a_cache(two := an_object(2))

    assert not cache.upsert(an_object(1))
    assert (cache.get(A), reported) == (two, [])


def test_the_same_version_twice_is_no_change() -> None:
    cache, reported = a_cache(an_object(2))

    assert not cache.upsert(an_object(2))
    assert reported == []


def test_an_older_event_does_not_restore_a_deleted_object() -> None:
    cache, reported = a_cache(one := an_object(1))

    assert forget(cache, an_object(5))
    assert not cache.upsert(an_object(4))
    assert not cache.upsert(an_object(5))
    assert (len(cache), reported) == (0, [(one, None)])


def test_a_deletion_of_an_unknown_object_is_remembered_too() -> None:
    # The answer to our own creation may arrive after the watch has reported the deletion.
    cache, reported = a_cache()

    assert not forget(cache, an_object(5))
    assert not cache.upsert(an_object(3))
    assert (len(cache), reported) == (0, [])


def test_an_object_that_left_the_selector_may_come_back_with_a_newer_version() -> None:
    cache, _ = a_cache(an_object(1))
    forget(cache, an_object(5))

    assert cache.upsert(an_object(6))


def test_an_old_deletion_does_not_remove_a_newer_object() -> None:
    cache, reported = a_cache(nine := an_object(9))

    assert not forget(cache, an_object(5))
    assert (cache.get(A), reported) == (nine, [])


def test_a_recreated_object_is_reported_as_deleted_and_created() -> None:
    cache, reported = a_cache(old := an_object(1, uid="u1"))

    cache.upsert(new := an_object(7, uid="u2"))

    assert reported == [(old, None), (None, new)]
    assert not cache.upsert(an_object(6, uid="u1"))
    assert cache.get(A) == new


def test_the_deletion_of_the_old_object_does_not_remove_the_new_one_of_its_name() -> None:
    cache, _ = a_cache(new := an_object(7, uid="u2"))

    assert not forget(cache, an_object(8, uid="u1"))
    assert cache.get(A) == new


def test_a_list_removes_what_it_does_not_contain() -> None:
    a, b = an_object(1), an_object(2, name="b", uid="u2")
    cache, reported = a_cache(a, b)

    cache.replace_all([a], version=9)

    assert (list(cache), reported) == ([a], [(b, None)])
    assert not cache.upsert(an_object(9, name="b", uid="u2"))


def test_an_own_write_that_is_newer_than_a_list_survives_it() -> None:
    own = an_object(12, name="b", uid="u2")
    cache, reported = a_cache(own)

    cache.replace_all([an_object(1)], version=11)

    assert cache.get(("ns", "b")) == own
    assert [new for _, new in reported] == [an_object(1)]


def test_an_own_write_that_is_newer_than_what_is_listed_stays() -> None:
    cache, _ = a_cache(own := an_object(12))

    cache.replace_all([an_object(4)], version=11)

    assert cache.get(A) == own


# --- any order -------------------------------------------------------------------------------------


def histories() -> st.SearchStrategy[list[list[JobView | None]]]:
    """Lives of objects under two names: versions, then the end; the names are taken again."""
    return st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=2).map(_lives)


def _lives(shape: list[list[int]]) -> list[list[JobView | None]]:
    version, lives = 0, []
    for position, name in enumerate(shape):
        for turn, changes in enumerate(name):
            life: list[JobView | None] = []
            for _ in range(changes):
                version += 1
                life.append(an_object(version, name=f"n{position}", uid=f"n{position}-{turn}"))
            lives.append([*life, None])
            version += 1
    return lives


@given(histories(), st.randoms(use_true_random=False), st.booleans())
def test_events_in_any_order_and_any_number_lead_to_the_last_state(
    lives: list[list[JobView | None]], order: Random, last_lives: bool
) -> None:
    if last_lives:
        lives[-1].pop()
    messages = [(life, index) for life in lives for index in range(len(life))]
    shuffled = [*messages, *messages[::2]]
    order.shuffle(shuffled)
    cache, reported = a_cache()

    for life, index in shuffled:
        one = life[index]
        if one is not None:
            cache.upsert(one)
        else:
            last = life[index - 1]
            assert last is not None
            meta = last.metadata
            forget(cache, an_object(meta.version + 1, name=meta.name, uid=meta.uid))

    expected = {one.metadata.key: one for life in lives if (one := life[-1]) is not None}
    assert {one.metadata.key: one for one in cache} == expected
    _is_a_chain(reported)


def _is_a_chain(reported: Reported) -> None:
    """The changes of each name are a chain: each begins where the last one ended."""
    state: dict[tuple[str, str], JobView | None] = {}
    for old, new in reported:
        some = new or old
        assert some is not None
        assert state.get(some.metadata.key) == old
        state[some.metadata.key] = new
