"""The reference of the chart's values is made from their schema and defaults."""

from __future__ import annotations

from pathlib import Path

import valuesdoc


def test_the_page_is_what_the_schema_makes_of_it() -> None:
    assert valuesdoc.main(["--check"]) == 0


def test_a_page_that_is_out_of_date_is_found_and_written_again(tmp_path: Path) -> None:
    stale = tmp_path / "values.md"
    fresh = valuesdoc.DOCUMENT.read_text(encoding="utf-8")
    stale.write_text(fresh.replace("| `operator.replicas` | `2` |", "| `operator.replicas` | `3` |"))
    assert valuesdoc.main(["--check"], stale) == 1
    assert valuesdoc.main([], stale) == 0
    assert stale.read_text(encoding="utf-8") == fresh


def test_values_inside_of_others_and_of_lists_are_rows_of_their_own() -> None:
    schema = {
        "definitions": {"count": {"type": "integer", "description": "How many."}},
        "properties": {
            "name": {"description": "A | name."},
            "teams": {
                "type": "array",
                "description": "Teams.",
                "items": {"properties": {"size": {"$ref": "#/definitions/count"}}},
            },
            "part": {"description": "A part.", "properties": {"on": {"description": "Whether."}}},
        },
    }
    page = valuesdoc.text(schema, {"name": "x", "teams": [], "part": {"on": True}})
    assert "| `name` | `x` | A \\| name. |" in page
    assert "## teams\n\nTeams.\n" in page
    assert "| `teams[].size` |  | How many. |" in page
    assert "| `part.on` | `true` | Whether. |" in page
