"""The row of features: what each takes of processes and workflows, its receivers, and what is derived."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nightcrawler_api import settings as facade
from nightcrawler_crds.kube.noticeviews import SecretValues
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.variables import PREFIX
from nightcrawler_operator import settings as operator
from nightcrawler_operator.decisions.notifications.targets import targets_of, usable
from tests.bench import around, receivers
from tests.bench.engines import Settings
from tests.bench.engines.nightcrawler import environment_of, workflow
from tests.bench.features import ALL, CHANNELS, Around, Feature, manifest, settings_of
from tests.bench.goals import GOALS
from tests.bench.measured import Usage
from tests.bench.receivers import Receivers
from tests.bench.rows.features import OFF, ON, Waits, memory_of, more, summed, waits_of
from tests.bench.shapes import chain
from tests.support.polling import eventually

AROUND = Around(
    targets=Path("/targets"),
    authority=Path("/ca.crt"),
    collector="http://127.0.0.1:4318",
    archive_url="sqlite:////archive.db",
    log_url="file:///logs",
)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, load: Any, settings: Settings) -> dict[str, Any]:
    """Settings as the process reads them that is started with these."""
    with monkeypatch.context() as patched:
        for name, value in environment_of(settings).items():
            patched.setenv(name, value)
        read: dict[str, Any] = load().model_dump()
    assert read.keys() >= settings.keys(), "there is no such setting"
    return read


# --- what a feature takes --------------------------------------------------------------------------


def test_with_nothing_on_a_workflow_is_that_of_the_other_rows() -> None:
    assert manifest("w", chain(3, 0.1), ()) == workflow("w", chain(3, 0.1))


@pytest.mark.parametrize("on", [(), *((name,) for name in ALL), ALL], ids=lambda on: "+".join(on) or "off")
def test_what_features_take_is_accepted_and_no_other_is_on(
    on: tuple[Feature, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    WorkflowSpec.model_validate(manifest("w", chain(3, 0.1), on)["spec"], extra="forbid")
    for load, settings in zip((operator.load, facade.load), settings_of(on, AROUND), strict=True):
        read = loaded(monkeypatch, load, settings)
        assert read["usage"] is ("usage" in on)
        assert read["mask_secrets"] is ("masked" in on)
        assert set(read["keep"]) == {"archive", "logs"} & set(on)
        assert (read.get("notifications_folder") is None) or "notifications" in on
        assert not read.get("otlp_endpoint") or "traces" in on


def test_what_did_not_arrive_is_named_with_how_much_did() -> None:
    before, after = {"webhook": 5, "email": 1, "traces": 0}, {"webhook": 25, "email": 11, "traces": 10}
    assert around.missing(ALL, before, after, runs=10) == "10 of 20 email"
    only: tuple[Feature, ...] = ("traces",)
    assert around.missing(only, before, after, runs=10) == ""
    assert around.missing((), before, before, runs=10) == ""


# --- receivers -------------------------------------------------------------------------------------


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Receivers]:
    path = os.pathsep.join(filter(None, sys.path))  # pytest has found what make sets for the bench
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.receivers", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        found = eventually(lambda: receivers.read(tmp_path), what="the receivers to serve")
        assert found is not None
        yield found
    finally:
        process.terminate()
        process.wait()


async def test_receivers_say_where_they_are_and_how_much_came(serving: Receivers, tmp_path: Path) -> None:
    targets = tmp_path / "targets"
    serving.write_targets(targets)
    values = SecretValues({file.name: file.read_bytes() for file in targets.iterdir()})
    assert usable(targets_of(None, values)) == set(CHANNELS)
    assert await serving.taken() == {"webhook": 0, "email": 0, "traces": 0}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{serving.traces}/v1/traces", json={}) as answer,
    ):
        assert answer.status == 200
    assert (await serving.taken())["traces"] == 1


# --- figures ---------------------------------------------------------------------------------------


def test_every_figure_has_a_name_and_those_on_have_the_goals_of_those_off() -> None:
    waits = {
        OFF: Waits(few=[0.020, 0.030], many=[0.2, 0.4]),
        ON: Waits(few=[0.030, 0.040], many=[0.3, 0.5]),
    }
    levels: dict[str, float] = {OFF: 100.04, "archive": 120.5, "all": 130.0}
    levels |= {name: 101.0 for name in ALL if name != "archive"}
    figures = waits_of(waits) | memory_of(levels)
    known = {figure.key: figure for figure in GOALS["features"].figures}
    assert figures.keys() == known.keys()
    assert (figures["on_p50_ms"], figures["off_at50_p99_ms"]) == (30.0, 400.0)
    assert (figures["p50_times"], figures["at50_p50_times"]) == (1.5, 1.5)
    assert (figures["off_mb"], figures["archive_on_mb"], figures["archive_mb"]) == (100.0, 120.5, 20.46)
    for goal in ("p50_ms", "p99_ms", "at50_p50_ms", "at50_p99_ms"):
        of_the_row = next(one for one in GOALS["handover"].figures if one.key == goal)
        assert known[f"on_{goal}"].goal == known[f"off_{goal}"].goal == of_the_row.goal
    assert (known["off_mb"].goal, known["archive_on_mb"].goal) == (120, 150)


def test_more_than_off_is_counted_from_off_and_may_be_less() -> None:
    assert more({"off": 100.0, "usage": 99.5, "all": 110.0}) == {"usage": -0.5, "all": 10.0}


def test_cpu_time_is_that_of_all_turns_and_memory_that_of_the_last() -> None:
    turns = [{"a": Usage(1.0, 50.0), "b": Usage(2.0, 10.0)}, {"a": Usage(0.5, 60.0)}]
    assert summed(turns) == {"a": Usage(1.5, 60.0), "b": Usage(2.0, 10.0)}
