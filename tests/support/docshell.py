"""A shell that runs the commands of a page of the documentation, from the top of a clone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster import binaries
from tests.support.docs import ROOT, Command

HOME: Final = "nightcrawler-workflows"
ADDRESS: Final = "http://127.0.0.1:8080"
CLUSTER_WIDE: Final = (
    "kubectl apply -f crds/",
    "kubectl delete -f crds/",
    "kubectl create namespace",
    "kubectl delete namespace",
)
"""Commands that change more than the test's own namespace begin like this."""


@dataclass(frozen=True)
class DocShell:
    """A shell, and the cluster that it works with.

    Attributes:
        kubeconfig: Of the cluster; commands get a copy, so that they may change it.
        folder: An empty folder for what the commands write.
        namespace: Replaces the home namespace of the page.
        address: Where the facade is.
        dry_run: Commands that begin like this are run with --dry-run=server.
        run_anyway: Entries of `tests.support.docs.NOT_RUN` that are run here all the same.
        setup: Lines that run first.
    """

    kubeconfig: Path
    folder: Path
    namespace: str = HOME
    address: str = ADDRESS
    dry_run: Sequence[str] = CLUSTER_WIDE
    run_anyway: Sequence[str] = ()
    setup: Sequence[str] = ()

    def run(self, commands: Sequence[Command]) -> list[str]:
        """Run commands in order, print their output, and return those that failed."""
        lines = [*self._preamble(), *(self._line(number, command) for number, command in enumerate(commands))]
        script = "\n".join(["exec 2>&1", *lines])
        here = self._clone()
        ended = subprocess.run(["bash", "-c", script], cwd=here, capture_output=True, text=True, check=False)
        print(ended.stdout)  # noqa: T201 - pytest shows it if a test fails
        return [
            commands[int(number)].text for number in re.findall(r"^FAILED (\d+)$", ended.stdout, re.MULTILINE)
        ]

    def _clone(self) -> Path:
        """Links to what a clone has at its top, so that commands do not write into the real one."""
        top = self.folder / "clone"
        top.mkdir()
        for child in ROOT.iterdir():
            if not child.name.startswith("."):
                (top / child.name).symlink_to(child)
        return top

    def _preamble(self) -> list[str]:
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_bytes(self.kubeconfig.read_bytes())
        return [
            f"export KUBECONFIG={kubeconfig} PATH={binaries.kube()}:{binaries.helm().parent}:$PATH",
            "kubectl() { command kubectl --cache-dir=" + str(self.folder / "cache") + ' "$@"; }',
            'curl() { command curl --silent --show-error --fail-with-body --noproxy "*" "$@"; }',
            "newest() { kubectl get wfe --sort-by=.metadata.creationTimestamp -o name | tail -n 1; }",
            "listed() { command curl --silent --noproxy '*' $API | grep -o 'wf-[a-z0-9]*' | head -n 1; }",
            f"API={self.address}/api/workflows",
            *self.setup,
        ]

    def _line(self, number: int, command: Command) -> str:
        """The line for a command; it reports a failure by the command's number."""
        text = command.text.replace(ADDRESS, self.address)
        match command.not_run:
            case "ID=":
                return "ID=$(listed)"
            case "RUN=":
                return "RUN=$(curl $API/$ID/executions | grep -o 'exec-[a-z0-9]*' | head -n 1)"
            case None:
                pass
            case why if why in self.run_anyway:
                pass
            case _:
                return ""
        if text.startswith(tuple(self.dry_run)):
            text += " --dry-run=server"
        if not text.startswith("kubectl create namespace"):
            text = text.replace(HOME, self.namespace)
        text = text.replace(" wf NAME", " wf hello")
        text = re.sub("(?<=[ =])NAME", '$(basename "$(newest)")', text)
        return f"{text} || echo FAILED {number}"
