"""Somebody who types what a page of the documentation says, in one shell, from the top of a clone."""

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
CHANGES_ALL: Final = (
    "kubectl apply -f crds/",
    "kubectl delete -f crds/",
    "kubectl create namespace",
    "kubectl delete namespace",
)
"""These change more than a namespace of a test's own."""


@dataclass(frozen=True)
class Reader:
    """The reader, and the cluster that they work with.

    Attributes:
        kubeconfig: Of the cluster; a copy is used, so that commands may change it.
        folder: An empty folder for what the commands write.
        namespace: The one that the page calls the home namespace.
        address: Where the facade is.
        not_really: How commands begin of which the server is only asked whether it would take them.
        although: Commands that are run here although `tests.support.docs.NOT_RUN` has them.
        first: What is done before.
    """

    kubeconfig: Path
    folder: Path
    namespace: str = HOME
    address: str = ADDRESS
    not_really: Sequence[str] = CHANGES_ALL
    although: Sequence[str] = ()
    first: Sequence[str] = ()

    def type(self, commands: Sequence[Command]) -> list[str]:
        """Run commands in their order; those that failed. What all of them print is printed here too."""
        lines = [*self._before(), *(self._line(number, command) for number, command in enumerate(commands))]
        script = "\n".join(["exec 2>&1", *lines])
        here = self._clone()
        ended = subprocess.run(["bash", "-c", script], cwd=here, capture_output=True, text=True, check=False)
        print(ended.stdout)  # noqa: T201 - pytest shows it if a test fails
        return [
            commands[int(number)].text for number in re.findall(r"^FAILED (\d+)$", ended.stdout, re.MULTILINE)
        ]

    def _clone(self) -> Path:
        """What a clone has at its top; what the commands write there is not in the real one."""
        top = self.folder / "clone"
        top.mkdir()
        for child in ROOT.iterdir():
            if not child.name.startswith("."):
                (top / child.name).symlink_to(child)
        return top

    def _before(self) -> list[str]:
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_bytes(self.kubeconfig.read_bytes())
        return [
            f"export KUBECONFIG={kubeconfig} PATH={binaries.kube()}:{binaries.helm().parent}:$PATH",
            "kubectl() { command kubectl --cache-dir=" + str(self.folder / "cache") + ' "$@"; }',
            'curl() { command curl --silent --show-error --fail-with-body --noproxy "*" "$@"; }',
            "newest() { kubectl get wfe --sort-by=.metadata.creationTimestamp -o name | tail -n 1; }",
            "listed() { command curl --silent --noproxy '*' $API | grep -o 'wf-[a-z0-9]*' | head -n 1; }",
            f"API={self.address}/api/workflows",
            *self.first,
        ]

    def _line(self, number: int, command: Command) -> str:
        """What the shell is given for a command: it reports a failure by its number."""
        text = command.text.replace(ADDRESS, self.address)
        match command.not_run:
            case "ID=":
                return "ID=$(listed)"
            case "RUN=":
                return "RUN=$(curl $API/$ID/executions | grep -o 'exec-[a-z0-9]*' | head -n 1)"
            case None:
                pass
            case why if why in self.although:
                pass
            case _:
                return ""
        if text.startswith(tuple(self.not_really)):
            text += " --dry-run=server"
        if not text.startswith("kubectl create namespace"):
            text = text.replace(HOME, self.namespace)
        text = text.replace(" wf NAME", " wf hello")
        text = re.sub("(?<=[ =])NAME", '$(basename "$(newest)")', text)
        return f"{text} || echo FAILED {number}"
