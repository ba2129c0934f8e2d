"""The operator as a real process, with the rights of `hack/rbac.yaml`, for one namespace.

Each has its own Lease in the namespace that it watches, so that tests do not meet. What it logs is
shown when the test fails; a traceback in it makes the test fail, whatever else it asserts.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from localcluster import LocalCluster, ports, processes
from localcluster.api import RefusedError
from localcluster.credentials import OPERATOR
from tests.support.polling import eventually

_RIGHTS: Final = Path(__file__).parents[2] / "hack" / "rbac.yaml"
_READY_WITHIN: Final = 30.0
_STOPS_WITHIN: Final = 15.0
_BUGS: Final = re.compile(
    r"^Traceback \(most recent call last\)|a bug: |was never (?:awaited|retrieved)|^Unclosed", re.MULTILINE
)

QUICK_LEASE: Final = {"lease_duration": 4, "renew_deadline": 3, "retry_period": 0.5}
"""Settings with which a leader that was suspended is followed within seconds."""
LONG_LEASE: Final = {"lease_duration": 120, "renew_deadline": 100}
"""Settings with which a replica that has to wait for another's Lease does not lead in time."""


def _variable(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class OperatorProcess:
    """One replica: `start` it, `stop` or `kill` it, start it again with other settings.

    Attributes:
        namespace: What it watches, and where its Lease is.
        settings: Its settings by name (`job_cleanup_after=0`), besides those that make it the test's own.
        expects_bugs: Whether tracebacks in its log are what the test is about.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        namespace: str,
        log: Path,
        *,
        kubeconfig: Path | None = None,
        expects_bugs: bool = False,
        **settings: Any,
    ) -> None:
        self.namespace = namespace
        self.settings: dict[str, Any] = settings
        self.expects_bugs = expects_bugs
        self._cluster = cluster
        self._kubeconfig = kubeconfig or cluster.kubeconfig_of(OPERATOR)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    # --- life ----------------------------------------------------------------------------------------

    def start(self, *, leading: bool = True, **settings: Any) -> None:
        """Start it, and wait until it works.

        Args:
            leading: Whether to wait until it leads; otherwise until its caches are warm.
            settings: Settings to change, for this start and later ones.
        """
        before = self.leader
        self.launch(**settings)
        self._until("was ready", lambda: self.probe("/readyz") is not None)
        if leading and self.settings.get("leader_election", True):
            self._until("led", lambda: self.leader not in ("", before))

    def launch(self, **settings: Any) -> None:
        """Start it and wait for nothing, for instance because there is no API server."""
        assert not self.is_alive, "the operator runs already"
        self.settings.update(settings)
        self._probe_port = ports.pick(["probe"])["probe"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nightcrawler_operator"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and wait until it has, with exit code 0."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the operator did not end within {_STOPS_WITHIN:g} s") from None
        assert code == 0, f"the operator ended with exit code {code}"

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self, **settings: Any) -> None:
        """Stop it and start it again, with some settings changed."""
        self.stop()
        self.start(**settings)

    def pause(self) -> None:
        """Suspend it (SIGSTOP), like a machine that swaps or hibernates."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume it (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    # --- what it says --------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """All that it has logged so far, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def leader(self) -> str:
        """Who holds the Lease of its namespace; empty if nobody does."""
        name = self.settings.get("lease_name", "nightcrawler-operator")
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{name}"
        try:
            return str(self._cluster.api.get(path)["spec"].get("holderIdentity") or "")
        except RefusedError as refusal:
            if refusal.status == 404:
                return ""
            raise

    def probe(self, path: str) -> str | None:
        """What it answers at `/healthz`, `/readyz` or `/metrics`; None if it does not, or not with 200."""
        code, text = self.ask(path)
        return text if code == 200 else None

    def ask(self, path: str) -> tuple[int, str]:
        """The status code and text that it answers there; 0 if it does not answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._probe_port}{path}", timeout=2) as answer:
                return int(answer.status), str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def bugs(self) -> str:
        """The part of the log that shows a bug; empty if there is none."""
        found = _BUGS.search(self.log)
        return self.log[max(0, found.start() - 300) : found.start() + 4_000] if found else ""

    # --- pieces --------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTCRAWLER_", "KUBE"))}
        settings = {
            "kubeconfig": self._kubeconfig,
            "watch_namespace": self.namespace,
            "namespace": self.namespace,
            "lease_namespace": self.namespace,
            "probe_port": self._probe_port,
            "log_level": "debug",
            **self.settings,
        }
        variables = {f"NIGHTCRAWLER_{name.upper()}": _variable(value) for name, value in settings.items()}
        # By the mark it ends with the cluster, even if the tests are killed.
        return {**inherited, **variables, processes.MARK: str(self._cluster.folder)}

    def _until(self, what: str, look: Any) -> None:
        def looked() -> bool:
            if not self.is_alive:
                pytest.fail(f"the operator ended instead of starting:\n{self.log[-4_000:]}")
            return bool(look())

        eventually(looked, within=_READY_WITHIN, what=f"the operator: whether it {what}\n{self.log[-2_000:]}")


def grant_rights(cluster: LocalCluster, namespace: str) -> None:
    """Give the operator's user what `hack/rbac.yaml` gives it, with the Lease in this namespace."""
    for document in yaml.safe_load_all(_RIGHTS.read_text(encoding="utf-8")):
        name = document["metadata"]["name"]
        if not name.startswith("nightcrawler-operator"):
            continue
        scope = ""
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
            scope = f"/namespaces/{namespace}"
        path = f"/apis/{document['apiVersion']}{scope}/{document['kind'].lower()}s"
        try:
            cluster.api.post(path, document)
        except RefusedError as refusal:
            if refusal.status != 409:  # the cluster-wide part is there from the first time on
                raise


class Operators:
    """Makes operators for a test, and ends them with it."""

    def __init__(self, cluster: LocalCluster, namespace: str, folder: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._folder = folder
        self._made: list[OperatorProcess] = []
        grant_rights(cluster, namespace)

    def make(self, **options: Any) -> OperatorProcess:
        """An operator that is not started; `options` as those of `OperatorProcess`, settings among them."""
        log = self._folder / f"operator-{len(self._made) + 1}.log"
        made = OperatorProcess(self._cluster, options.pop("namespace", self._namespace), log, **options)
        self._made.append(made)
        return made

    def start(self, **options: Any) -> OperatorProcess:
        """An operator that leads."""
        made = self.make(**options)
        made.start()
        return made

    def end_all(self) -> None:
        """End all that still run, print their logs, and fail if one shows a bug."""
        for operator in self._made:
            if operator.is_alive:
                operator.resume()  # a suspended process cannot handle SIGTERM
                with contextlib.suppress(AssertionError):
                    operator.stop()
            # pytest shows this if the test failed.
            print(f"--- {operator.namespace}\n{operator.log}")  # noqa: T201
        bugs = [bugs for o in self._made if not o.expects_bugs and (bugs := o.bugs())]
        if bugs:
            pytest.fail("the operator logged a bug:\n" + "\n".join(bugs), pytrace=False)


@contextlib.contextmanager
def operators_in(cluster: LocalCluster, namespace: str, folder: Path) -> Iterator[Operators]:
    """Operators for one namespace, ended when the block is left."""
    made = Operators(cluster, namespace, folder)
    try:
        yield made
    finally:
        made.end_all()


@pytest.fixture
def operators(cluster: LocalCluster, namespace: str, tmp_path: Path) -> Iterator[Operators]:
    """For tests that need an operator of their own: `operators.start(queue_timeout=2)`."""
    with operators_in(cluster, namespace, tmp_path) as made:
        yield made


@pytest.fixture
def operator(operators: Operators) -> OperatorProcess:
    """An operator with the usual settings that watches the test's namespace."""
    return operators.start()
