"""A reader of a log that breaks off anywhere and continues: nothing twice, nothing missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightcrawler_api.logs.place import Place, Read, Reader, parse, stamp_of

NANO = 10**9
BEGIN = 1_752_158_700


def line(nanoseconds: int, text: str) -> bytes:
    seconds, rest = divmod(nanoseconds, NANO)
    hour, minute, second = seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
    return f"2025-07-10T{hour:02}:{minute:02}:{second:02}.{rest:09}Z {text}".encode()


def served(lines: list[bytes], place: Place) -> list[bytes]:
    """What a kubelet answers from the place on."""
    return [one for one in lines if place.second == 0 or (stamp_of(one) or 0) >= place.second * NANO]


# Nearly in order: the streams of one container are stamped apart, by up to a second.
gaps = st.integers(0, 2 * NANO)
jitters = st.integers(-NANO, 0)


@given(st.lists(st.tuples(gaps, jitters), max_size=30), st.data())
def test_a_reader_resumes_from_any_position(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    now, lines = BEGIN * NANO, []
    for number, (gap, jitter) in enumerate(steps):
        now += gap
        lines.append(line(now + jitter, str(number)))
    place, read = Place(1), list[bytes]()
    while len(read) < len(lines):
        there = data.draw(st.integers(len(read) + 1, len(lines)), "written so far")
        most = data.draw(st.integers(1, 10), "read before breaking off")
        reader, before = Reader(place), len(read)
        for one in served(lines[:there], place):
            what = reader.take(one)
            assert what is not Read.NEW_AFTER_A_GAP
            if what is Read.NEW:
                read.append(one)
                most -= 1
            if not most:
                break
        assert len(read) > before, "a line that is there has not been read"
        place = parse(str(reader.place)) or pytest.fail("a place that cannot be read")
    assert read == lines


def test_lines_of_a_new_file_are_marked_as_coming_after_a_gap() -> None:
    old = [line((BEGIN + n) * NANO, f"old {n}") for n in range(5)]
    reader = Reader(Place(1))
    assert {reader.take(one) for one in old} == {Read.NEW}
    new = [line((BEGIN + n) * NANO, f"new {n}") for n in range(5, 8)]
    again = Reader(reader.place)
    assert [again.take(one) for one in new] == [Read.NEW_AFTER_A_GAP, Read.NEW, Read.NEW]


def test_a_reader_that_is_served_only_another_file_may_lack_the_end_of_the_last() -> None:
    old = [line((BEGIN + n) * NANO, f"old {n}") for n in range(5)]
    reader = Reader(Place(1))
    assert not reader.may_lack_end, "nothing was ever written"
    for one in old:
        reader.take(one)
    assert not reader.may_lack_end

    def again(*lines: bytes) -> Reader:
        one = Reader(reader.place)
        for each in lines:
            one.take(each)
        return one

    assert again().may_lack_end, "the file is empty"
    assert not again(*served(old, reader.place)).may_lack_end
    assert not again(old[-1]).may_lack_end, "the file began before the last line"
    assert not again(line((BEGIN + 9) * NANO, "new")).may_lack_end, "what is missing comes before this line"


def test_the_rest_of_a_line_before_the_position_is_not_a_new_line() -> None:
    reader = Reader(Place(1))
    reader.take(line(BEGIN * NANO, "a"))
    again = Reader(reader.place)
    assert again.take(b"the rest of an overlong line") is Read.AGAIN
    assert again.take(line(BEGIN * NANO, "a")) is Read.AGAIN
    assert again.take(b"a message of the kubelet") is Read.NEW


@pytest.mark.parametrize("text", [None, "", "end", "1.2.3", "1.2.3.4.5", "a.b.c.d", "1.999999999999.1.1"])
def test_an_invalid_position_is_none(text: str | None) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        (b"2025-07-10T14:45:00Z x", BEGIN * NANO),
        (b"2025-07-10T14:45:00.5Z x", BEGIN * NANO + NANO // 2),
        (b"2025-07-10T16:45:00+02:00 x", BEGIN * NANO),
        (b"2025-07-10T14:45:00Z", BEGIN * NANO),
        (b"2025-13-10T14:45:00Z x", None),
        (b"x", None),
    ],
)
def test_a_timestamp_is_read_to_the_nanosecond(text: bytes, stamp: int | None) -> None:
    assert stamp_of(text) == stamp
