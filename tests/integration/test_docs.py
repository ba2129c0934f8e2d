"""The commands of the documentation for kubectl and curl, run page by page against API server and facade.

What is not run, and why, is in `tests.support.docs.NOT_RUN`. Placeholders (`NAME`, `wf-...`) become the names
of objects that earlier commands have created.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from localcluster import binaries
from tests.support import docs
from tests.support.docs import PAGES, ROOT, Command
from tests.support.facade import Served

DRY_RUN: Final = (
    "kubectl apply -f crds/",
    "kubectl delete -f crds/",
    "kubectl create namespace",
    "kubectl delete namespace",
)
"""These would change more than the test's own namespace."""
HOME: Final = "nightcrawler-workflows"
ADDRESS: Final = "http://127.0.0.1:8080"


class Reader:
    """Somebody who types what a page says, in one shell, in the namespace that the facade serves."""

    def __init__(self, served: Served, folder: Path) -> None:
        self._served = served
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(served.cluster.kubeconfig.read_bytes())
        self._before = [
            f"export KUBECONFIG={kubeconfig} PATH={binaries.kube()}:$PATH",
            "kubectl() { command kubectl --cache-dir=" + str(folder / "cache") + ' "$@"; }',
            'curl() { command curl --silent --show-error --fail-with-body --noproxy "*" "$@"; }',
            "newest() { kubectl get wfe --sort-by=.metadata.creationTimestamp -o name | tail -n 1; }",
            "listed() { command curl --silent --noproxy '*' $API | grep -o 'wf-[a-z0-9]*' | head -n 1; }",
            f"API={served.http.base_url}/api/workflows".replace("//api", "/api"),
            f"kubectl config set-context --current --namespace={served.namespace}",
            "kubectl apply -f examples/hello.yaml && kubectl create -f examples/run/hello.yaml",
        ]

    def type(self, commands: Sequence[Command]) -> list[str]:
        """Run commands in their order; those that failed. What all of them print is printed here too."""
        lines = [*self._before, *(self._line(number, command) for number, command in enumerate(commands))]
        script = "\n".join(["exec 2>&1", *lines])
        ended = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        print(ended.stdout)  # noqa: T201 - pytest shows it if a test fails
        return [
            commands[int(number)].text for number in re.findall(r"^FAILED (\d+)$", ended.stdout, re.MULTILINE)
        ]

    def _line(self, number: int, command: Command) -> str:
        """What the shell is given for a command: it reports a failure by its number."""
        text = command.text.replace(ADDRESS, str(self._served.http.base_url).rstrip("/"))
        match command.not_run:
            case "ID=":
                return "ID=$(listed)"
            case "RUN=":
                return "RUN=$(curl $API/$ID/executions | grep -o 'exec-[a-z0-9]*' | head -n 1)"
            case None:
                pass
            case _:
                return ""
        if text.startswith(DRY_RUN):
            text += " --dry-run=server"
        if not text.startswith("kubectl create namespace"):
            text = text.replace(HOME, self._served.namespace)
        text = text.replace(" wf NAME", " wf hello")
        text = re.sub("(?<=[ =])NAME", '$(basename "$(newest)")', text)
        return f"{text} || echo FAILED {number}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(not c.not_run for c in docs.commands(page))], ids=docs.name_of
)
def test_the_commands_of_a_page_work_one_after_another(page: Path, served: Served, tmp_path: Path) -> None:
    assert Reader(served, tmp_path).type(docs.commands(page)) == []
