"""Rows as CSV: whatever they have, a spreadsheet reads it back and runs nothing of it."""

from __future__ import annotations

import csv
import io
from typing import Any, Literal, NotRequired

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from nightcrawler_api.csvtables import columns_of, to_csv


class Inner(TypedDict):
    cpu: float
    memory: NotRequired[int]


class Row(TypedDict):
    id: str
    state: Literal["a", "b"]
    many: list[str]
    free: dict[str, Any]
    used: NotRequired[Inner | None]
    done: bool


class Longer(Row):
    more: NotRequired[str]


def test_columns_are_the_fields_with_one_value_in_their_order() -> None:
    assert columns_of(Longer) == ["id", "state", "used.cpu", "used.memory", "done", "more"]


def test_a_missing_field_is_empty_and_objects_are_flat() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "x", "used": {"cpu": 1.5}, "done": True},
        {"id": "y", "used": None, "done": False},
    ]
    assert to_csv(columns_of(Row), rows) == (
        "id,state,used.cpu,used.memory,done\r\nx,,1.5,,true\r\ny,,,,false\r\n"
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_texts_are_read_back_but_for_the_mark_before_a_formula(texts: list[str]) -> None:
    written = to_csv(["name"], [{"name": text} for text in texts])
    head, *read = csv.reader(io.StringIO(written, newline=""))
    assert head == ["name"]
    cells = [row[0] if row else "" for row in read]
    assert [cell.removeprefix("'") for cell in cells] == [text.removeprefix("'") for text in texts]
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r")]
    assert [
        cell for cell, text in zip(cells, texts, strict=True) if cell != text and text[0] not in "=+-@\t\r"
    ] == []
