"""What the documentation names exists: pages, files, targets of make, settings, metrics, values of the chart.

Its commands for kubectl, curl and helm are run by tests/integration/test_docs.py and by tests/e2e.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from nightcrawler_api.settings import Settings as FacadeSettings
from nightcrawler_crds.v1alpha1 import WorkflowSpec
from nightcrawler_crds.variables import variable
from nightcrawler_operator.settings import Settings as OperatorSettings
from tests.support import docs
from tests.support.docs import PAGES, ROOT

OF_STEPS: Final = {"NIGHTCRAWLER_EXECUTION", "NIGHTCRAWLER_STEP", "NIGHTCRAWLER_ATTEMPT"}
"""Variables that steps get; all others of that prefix are settings."""
NOT_THERE: Final = ("build/", "operator/__init__.py")
"""What `make` creates, and what must not be there."""
SOURCES: Final = ("crds", "operator", "api")


@pytest.fixture(params=PAGES, ids=docs.name_of)
def page(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    for link in docs.links(page):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in docs.anchors(target), link


def test_targets_of_make_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    for command in docs.commands(page):
        if not command.text.startswith("make "):
            continue
        for word in re.sub(r"'[^']*'", "", command.text).split()[1:]:
            name, is_variable, _ = word.partition("=")
            known = f"$({name})" in makefile or name == "PYTHON" if is_variable else name in targets
            assert known, command.text


def test_files_that_are_named_exist(page: Path) -> None:
    tops = tuple(f"{child.name}/" for child in ROOT.iterdir() if child.is_dir())
    for word in docs.code_words(page):
        if word.startswith(tops) and not word.startswith(NOT_THERE):
            assert list(ROOT.glob(word.rstrip(",;:").rstrip("/"))), word


def test_settings_that_are_named_exist(page: Path) -> None:
    settings = {variable(name) for name in {**OperatorSettings.model_fields, **FacadeSettings.model_fields}}
    for name in re.findall(r"NIGHTCRAWLER_[A-Z_]+(?!…|[A-Z_])", docs.text_of(page)):
        assert name in settings | OF_STEPS, name


def test_metrics_that_are_named_exist(page: Path) -> None:
    sources = "".join(file.read_text() for folder in SOURCES for file in (ROOT / folder).rglob("*.py"))
    for name in re.findall(r"`(nightcrawler_[a-z_]+)", docs.prose(page)):
        last = name.rpartition("_")[2]
        # The client library adds _total; some names are a prefix and what is measured.
        shown = f'"{name.removesuffix("_total")}"'
        assert shown in sources or f'"{last}"' in sources or (ROOT / "crds" / name).exists(), name


def test_every_command_is_run_or_there_is_a_reason_why_not() -> None:
    commands = [command for page in PAGES for command in docs.commands(page)]
    run = ("kubectl ", "curl ", "HOST=", "API=", "OF_SERVER=", "KEY=", "VERSION=")
    unknown = [c for c in commands if c.not_run is None and not c.text.startswith(run)]
    assert unknown == []
    assert set(docs.NOT_RUN) - {command.not_run for command in commands} == set(), (
        "no page has these any more"
    )


def test_commands_for_helm_are_those_of_the_page_on_installing() -> None:
    """A test on real Pods runs that page; `--wait` only says when helm answers."""

    def of(pages: Iterable[Path]) -> set[str]:
        found = (c.text.removesuffix(" --wait") for page in pages for c in docs.commands(page))
        return {text for text in found if text.startswith("helm ")}

    assert of(PAGES) == of([ROOT / "docs" / "installing.md"])


def values_in_tables(page: Path) -> Iterator[str]:
    """The values of the chart in the last column of a page's tables."""
    for row in re.findall(r"^\| .* \| (.*) \|$", docs.text_of(page), re.MULTILINE):
        yield from (
            code
            for code in re.findall(r"`([^`]+)`", row)
            if code[0].islower() and not code.startswith("make ")
        )


def test_values_of_the_chart_that_are_named_exist() -> None:
    values = yaml.safe_load((ROOT / "charts" / "nightcrawler" / "values.yaml").read_text(encoding="utf-8"))
    words = {"cluster", "namespace"}  # what `scope` may be
    named = set(values_in_tables(ROOT / "docs" / "installing.md")) - words
    assert len(named) > 5
    for name in named:
        inner: Any = values
        for key in name.split("."):
            assert key in inner, name
            inner = inner[key]


@pytest.mark.parametrize("name", ["README.md", "docs/manifests.md"])
def test_yaml_in_the_guide_is_what_a_workflow_may_say(name: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", docs.text_of(ROOT / name), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        (read,) = yaml.safe_load_all(block)
        if "podTemplate" in read:
            read = {"steps": [{"name": "x", **read}]}
        spec = {"steps": [{"name": "x", "image": "x"}]} | (read.get("spec") or read)
        spec["steps"] = [{"image": "x", **step} for step in spec["steps"]]
        WorkflowSpec.model_validate(spec)
