"""The commands of the documentation for kubectl and curl, run page by page against API server and facade.

What is not run, and why, is in `tests.support.docs.NOT_RUN`. Placeholders (`NAME`, `wf-...`) become the names
of objects that earlier commands have created. Pages that need real Pods are run by tests/e2e.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import docs
from tests.support.docs import ON_REAL_PODS, PAGES, ROOT, Command
from tests.support.docshell import DocShell
from tests.support.facade import Served


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if docs.name_of(page) not in ON_REAL_PODS and any(not c.not_run for c in docs.commands(page))
    ],
    ids=docs.name_of,
)
def test_the_commands_of_a_page_work_one_after_another(page: Path, served: Served, tmp_path: Path) -> None:
    assert shell(served, tmp_path).run(docs.commands(page)) == []


def test_what_was_backed_up_can_be_created_again_and_changed(served: Served, tmp_path: Path) -> None:
    page = ROOT / "docs" / "operations.md"
    *keep, bring_back = (c for c in docs.commands(page) if re.search("OF_SERVER|places.yaml", c.text))
    lose, change = (
        Command(bring_back.page, text)
        for text in (
            "kubectl delete workflows,environments.nightcrawler.dev,computeprofiles --all",
            "kubectl apply -f examples/hello.yaml",
        )
    )
    assert len(keep) == 3
    assert shell(served, tmp_path).run([*keep, lose, bring_back, change]) == []


def shell(served: Served, folder: Path) -> DocShell:
    """A shell in the namespace that the facade serves, after a run."""
    return DocShell(
        served.cluster.kubeconfig,
        folder,
        namespace=served.namespace,
        address=str(served.http.base_url).rstrip("/"),
        setup=[
            f"kubectl config set-context --current --namespace={served.namespace}",
            "kubectl apply -f examples/hello.yaml && kubectl create -f examples/run/hello.yaml",
        ],
    )
