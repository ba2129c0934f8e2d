"""Logs: every record says which execution it is about."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from nightcrawler_crds.logformat import Format, handler
from nightcrawler_operator import logs
from nightcrawler_operator.logs import SubjectFilter, about

LIBRARIES = ("", "kopf", "kopf.objects", "kubernetes", "asyncio", "aiohttp")


class Written:
    """A logger whose lines a test can read."""

    def __init__(self, form: Format) -> None:
        self._stream = io.StringIO()
        out = handler(form)
        assert isinstance(out, logging.StreamHandler)
        out.setStream(self._stream)
        out.addFilter(SubjectFilter())
        self.log = logging.Logger("nightcrawler_operator.act")
        self.log.addHandler(out)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_a_line_for_people_has_time_level_logger_message_and_subject() -> None:
    out = Written("text")
    with about(namespace="ml", execution="train-1", step='Model "A"'):
        out.log.warning("it broke: %d", 3)
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING nightcrawler_operator\.act: it broke: 3 \[(.*)\]"
    match = re.fullmatch(form, out.lines[0])
    assert match is not None, out.lines[0]
    assert match[1] == "ml/train-1, step 'Model \"A\"'"


def test_a_line_without_a_subject_has_no_brackets() -> None:
    out = Written("text")
    out.log.info("hello")
    assert out.lines[0].endswith(": hello")


def test_a_workflow_is_named_by_its_namespace_alone() -> None:
    out = Written("text")
    with about(namespace="ml"):
        out.log.info("hello")
    assert out.lines[0].endswith(": hello [ml]")


def test_a_traceback_follows_the_line() -> None:
    out = Written("text")
    with about(namespace="ml", execution="train-1"):
        try:
            int("seven")
        except ValueError:
            out.log.exception("a bug")
    assert out.lines[0].endswith("a bug [ml/train-1]")
    assert out.lines[-1].startswith("ValueError: invalid literal")


def test_a_line_for_machines_is_one_json_object_with_the_subject_in_fields() -> None:
    out = Written("json")
    with about(namespace="ml", execution="train-1"):
        out.log.warning("zwei\nZeilen, grün")
    (record,) = out.objects
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {
        "level": "WARNING",
        "logger": "nightcrawler_operator.act",
        "message": "zwei\nZeilen, grün",
        "namespace": "ml",
        "execution": "train-1",
    }


def test_a_traceback_is_a_field_for_machines() -> None:
    out = Written("json")
    try:
        int("seven")
    except ValueError:
        out.log.exception("a bug")
    (record,) = out.objects
    assert "ValueError: invalid literal" in record["exc_info"]


def test_an_inner_subject_adds_to_the_outer_one_and_ends_with_its_block() -> None:
    out = Written("json")
    with about(namespace="ml", execution="train-1"):
        with about(step="Training"):
            out.log.info("inner")
        out.log.info("outer")
    out.log.info("outside")
    inner, outer, outside = out.objects
    assert (inner["execution"], inner["step"]) == ("train-1", "Training")
    assert (outer["execution"], "step" in outer) == ("train-1", False)
    assert "execution" not in outside


async def test_tasks_that_run_side_by_side_keep_their_subjects_apart() -> None:
    out = Written("json")

    async def work(name: str) -> None:
        with about(namespace="ml", execution=name):
            for _ in range(3):
                await asyncio.sleep(0)
                out.log.info(name)

    await asyncio.gather(*(work(f"run-{n}") for n in range(5)))
    assert len(out.objects) == 15
    assert all(record["execution"] == record["message"] for record in out.objects)


def test_fields_of_a_record_are_not_overwritten() -> None:
    out = Written("json")
    with about(namespace="ml", execution="train-1"):
        out.log.info("hello", extra={"execution": "another"})
    assert out.objects[0]["execution"] == "another"


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Logging as it was, after a test that sets it up for the whole process."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in LIBRARIES}
    # `basicConfig(force=True)` closes the handlers it finds; pytest's shall live.
    root.handlers = []
    of_asyncio = logging.getLogger("asyncio")
    filters = of_asyncio.filters[:]
    yield
    of_asyncio.filters = filters
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize(
    ("level", "logger", "least"),
    [
        ("info", "nightcrawler_operator.act", logging.INFO),
        ("info", "kopf.activities", logging.WARNING),
        ("debug", "nightcrawler_operator.act", logging.DEBUG),
        ("debug", "kopf.activities", logging.INFO),
        ("debug", "kopf.objects", logging.WARNING),
        ("error", "kopf.objects", logging.ERROR),
    ],
)
def test_libraries_are_quieter_than_we_are(level: str, logger: str, least: int) -> None:
    logs.set_up(level, "text")
    assert logging.getLogger(logger).getEffectiveLevel() == least


@pytest.mark.usefixtures("untouched_logging")
def test_the_log_goes_to_standard_error_with_the_subject(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    with about(namespace="ml", execution="train-1"):
        logging.getLogger("some.library").warning("slow")
        logging.getLogger("some.library").debug("unseen")
    record = json.loads(capsys.readouterr().err)
    assert (record["logger"], record["message"], record["execution"]) == ("some.library", "slow", "train-1")


@pytest.mark.usefixtures("untouched_logging")
def test_a_watch_of_kopf_that_is_closed_at_the_end_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    async def infinite_watch() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise RuntimeError("generator didn't stop after athrow()")

    async def another() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise RuntimeError("a bug")

    async def begin(*generators: AsyncIterator[int]) -> None:
        for generator in generators:
            await anext(generator)

    logs.set_up("info", "json")
    open_at_the_end = infinite_watch(), another()
    asyncio.run(begin(*open_at_the_end))
    (line,) = capsys.readouterr().err.splitlines()
    assert "another" in json.loads(line)["message"]
