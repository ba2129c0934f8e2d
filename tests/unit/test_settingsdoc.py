"""The tables of settings in the documentation are made from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

import settingsdoc
from nightcrawler_api.settings import Settings as FacadeSettings
from nightcrawler_operator.settings import Settings as OperatorSettings


def test_the_tables_are_what_the_settings_make_of_them() -> None:
    assert settingsdoc.main(["--check"]) == 0


def test_every_setting_says_what_it_does() -> None:
    fields = {**OperatorSettings.model_fields, **FacadeSettings.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []


def test_a_table_that_is_out_of_date_is_found_and_written_again(tmp_path: Path) -> None:
    stale = tmp_path / "operations.md"
    fresh = settingsdoc.DOCUMENT.read_text(encoding="utf-8")
    stale.write_text(fresh.replace("| `NIGHTCRAWLER_WORKERS` | `16` |", "| `NIGHTCRAWLER_WORKERS` | `4` |"))
    assert settingsdoc.main(["--check"], stale) == 1
    assert settingsdoc.main([], stale) == 0
    assert stale.read_text(encoding="utf-8") == fresh


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(settingsdoc.SettingsDocError, match="settings of both"):
        settingsdoc.filled("# Nothing here")
