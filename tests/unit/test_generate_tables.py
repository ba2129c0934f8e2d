"""The generated tables of the documentation: of reasons, and of fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import Field

from nightcrawler_crds import words
from nightcrawler_crds.generate import __main__ as generate
from nightcrawler_crds.generate import readme, reasons
from nightcrawler_crds.generate.kinds import KINDS
from nightcrawler_crds.generate.readme import MarkersError
from nightcrawler_crds.generate.reasons import ReasonsError
from nightcrawler_crds.generate.structural import structural
from nightcrawler_crds.v1alpha1 import conditions
from nightcrawler_crds.v1alpha1.base import (
    LATER,
    TIME,
    AnyJson,
    ApiModel,
    Cpu,
)

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.resource.kind)


# --- the tables of reasons -------------------------------------------------------------------------


def test_the_tables_have_every_condition_and_reason() -> None:
    made = reasons.tables()
    constants = {value for name, value in vars(conditions).items() if name.isupper()}
    assert len(constants) > 40
    assert not {value for value in constants if f"| `{value}` |" not in made}


def test_a_reason_is_in_its_section_with_its_meaning() -> None:
    source = (
        'A: Final = "Alpha"\n"""First."""\n# --- Greek ---\nB: Final = "Beta"\n"""Second,\nof two lines."""\n'
    )
    assert [(word.section, word.value, word.meaning) for word in reasons.documented(source)] == [
        ("", "Alpha", "First."),
        ("Greek", "Beta", "Second, of two lines."),
    ]
    assert reasons.tables(source).splitlines()[-3:] == [
        "| reason | meaning |",
        "|---|---|",
        "| `Beta` | Second, of two lines. |",
    ]


def test_a_reason_without_a_meaning_is_refused_by_name() -> None:
    with pytest.raises(ReasonsError, match=r"conditions\.B has no docstring"):
        reasons.tables('A: Final = "Alpha"\n"""First."""\nB: Final = "Beta"\n')


# --- the README ------------------------------------------------------------------------------------


def test_a_readme_without_its_markers_is_refused() -> None:
    with pytest.raises(MarkersError, match="must have the lines '<!-- reasons: "):
        readme.filled("# The custom resources\n", {"reasons": "..."})


def test_the_tables_replace_only_what_is_between_their_markers() -> None:
    document = f"before\n{readme.begin('a')}\nold\n{readme.end('a')}\nafter\n"
    made = readme.filled(document, {"a": "| new |"})
    assert made == f"before\n{readme.begin('a')}\n\n| new |\n\n{readme.end('a')}\nafter\n"
    assert readme.filled(made, {"a": "| new |"}) == made


def test_the_table_of_fields_has_every_field_with_type_and_meaning() -> None:
    class Item(ApiModel):
        name: str = Field(description="Its name.")

    class Model(ApiModel):
        many: list[Item] = Field(description="Some | or none.")
        by_name: dict[str, Item] | None = Field(default=None, description="By their names.")
        cpu: Cpu | None = Field(default=None, description="CPU requested." + LATER)
        kind: Literal["a", "b"] | None = Field(default=None, description="Which.")
        since: str | None = Field(default=None, description="When.", json_schema_extra=TIME)
        value: AnyJson = Field(default=None, description="What.")

    assert readme.fields(structural(Model)).splitlines()[2:] == [
        "| **`many`** | list of object | Some \\| or none. |",
        "| **`many[].name`** | text | Its name. |",
        "| `byName` | map of object | By their names. |",
        "| **`byName.*.name`** | text | Its name. |",
        "| `cpu` | word | CPU requested. *(later)* |",
        "| `kind` | `a` \\| `b` | Which. |",
        "| `since` | time | When. |",
        "| `value` | any JSON | What. |",
    ]


_PARSERS: dict[str, Callable[[Any], object]] = {
    "CPU": words.parse_cpu,
    "memory, storage": words.parse_memory,
    "GPU": words.parse_gpu,
    "duration": words.parse_duration,
}


@pytest.mark.parametrize("kind", _PARSERS)
def test_the_words_that_the_readme_shows_are_understood(kind: str) -> None:
    text = (generate.FOLDER / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {kind} |")]
    shown = re.findall(r"`([^`]+)`", line.split("|")[2])
    assert len(shown) >= 4
    for word in shown:
        _PARSERS[kind](word)
