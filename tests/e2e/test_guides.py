"""The guides that need a whole installation: their commands work one after another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import docs
from tests.support.docs import ROOT
from tests.support.docshell import DocShell
from tests.support.real_node import NAMESPACE, Installation

pytestmark = pytest.mark.real_node


@pytest.mark.parametrize("page", ["docs/first-workflow.md", "docs/troubleshooting.md"])
def test_the_commands_of_a_guide_work_one_after_another(
    page: str, here: Installation, tmp_path: Path
) -> None:
    run = "kubectl apply -f examples/hello.yaml && kubectl create -f examples/run/hello.yaml"
    shell = DocShell(
        here.cluster.kubeconfig, tmp_path, namespace=NAMESPACE, address=here.installed.address, setup=[run]
    )
    assert shell.run(docs.commands(ROOT / page)) == []
