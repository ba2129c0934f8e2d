"""The pages of the documentation, and what they claim: commands, links, files, settings.

`console` blocks have a command on each line that begins with `$ `. Inline code that begins with one of
`PROGRAMS` and says what to do with it is a command too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    ROOT / page
    for page in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "crds/README.md",
        "charts/nightcrawler/README.md",
        "examples/README.md",
        "hack/localcluster/README.md",
        *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")),
    )
)
PROGRAMS: Final = ("kubectl ", "helm ", "make ", "curl ", "docker ", "pip ")
_WORDS_OF_A_VERB: Final = 2
"""`kubectl apply` is the name of a verb and no command."""

ON_REAL_PODS: Final = {
    "docs/first-workflow.md": "tests/e2e/test_guides.py",
    "docs/installing.md": "tests/e2e/test_chart.py",
    "docs/troubleshooting.md": "tests/e2e/test_guides.py",
}
"""Pages that need an installation with Pods, and what runs them."""

NOT_RUN: Final = {
    "ID=": "a placeholder; the test sets it",
    "RUN=": "a placeholder; the test sets it",
    "export KUBECONFIG=": "of the demo's cluster",
    "export NIGHTCRAWLER_": "settings of processes; tests/support/keeping.py starts them so",
    "nightcrawler-api migrate": "tests/unit/test_archive_migrations.py runs it",
    "kubectl get wfe -w": "it does not end; the same without -w is run",
    'curl "$HOST/api/audit': "it needs an archive: tests/integration/test_audit.py",
    "curl --no-buffer": "it does not end: tests/integration/test_api_events.py, test_logs_followed.py",
    "kubectl apply -f training.yaml": "what the API server answers to an invalid manifest of the reader's",
    "kubectl wait --for=condition=Succeeded": "no operator runs here; tests/integration/test_conditions.py",
    "kubectl logs job/": "it needs a real Pod: tests/e2e reads every log like this",
    "kubectl patch --type strategic": "the name of a way to merge",
    "kubectl label namespace vision": "of the reader's team; tests/chart has the labels of the chart's own",
    "kubectl port-forward": "it does not end; tests/e2e reaches the facade by it",
    "helm ": "tests/e2e/test_chart.py runs docs/installing.md, which has all of them",
    "make": "its targets are checked in tests/unit/test_docs.py; CI runs `make test`",
    "docker ": "it needs a Docker engine; tests/unit/test_container.py has what is decided there",
    "pip install .": "`make setup` installs the same, editable",
    "NIGHTCRAWLER_KUBECONFIG=": "tests/support starts both programs for all integration tests",
}
"""Commands, by how they begin, that are not run where the others of their page are, and why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a page shows."""

    page: str
    text: str

    @property
    def not_run(self) -> str | None:
        """The entry of `NOT_RUN` that it belongs to, if any."""
        return next((start for start in NOT_RUN if self.text.startswith(start)), None)


def text_of(page: Path) -> str:
    """A page's text."""
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    """A page's path from the root."""
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[Command]:
    """The commands of a page, in order."""
    found = []
    for block, code in re.findall(
        r"^```console\n(.*?)^```$|(?<!`)`([^`]+)`(?!`)", text_of(page), re.MULTILINE | re.DOTALL
    ):
        if block:
            lines = re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)", block, re.MULTILINE)
            found += [Command(name_of(page), re.sub(r"\s+# .*$", "", line)) for line in lines]
        elif code.startswith("make ") or (code.startswith(PROGRAMS) and len(code.split()) > _WORDS_OF_A_VERB):
            found.append(Command(name_of(page), " ".join(code.split())))
    return found


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def code_words(page: Path) -> list[str]:
    """The words of a page's inline code."""
    return [word for code in re.findall(r"`([^`\n]+)`", prose(page)) for word in code.split()]


def links(page: Path) -> list[str]:
    """Where a page's links go."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
