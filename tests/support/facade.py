"""The facade as a real process, with the rights of `hack/rbac.yaml`, for one namespace.

What it logs is shown when a test fails; a traceback in it makes the tests fail, whatever else they assert.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from localcluster import LocalCluster, ports, processes
from nightcrawler_crds import names
from nightcrawler_crds.names import EXECUTIONS, WORKFLOWS
from tests.support.builders import Builder
from tests.support.cluster import a_namespace
from tests.support.polling import eventually
from tests.support.resources import path_of

Json = dict[str, Any]

USER: Final = "nightcrawler-api"
PROBLEM: Final = "application/problem+json"
DRY_RUN_POLICY: Final = "nightcrawler-api-dry-run"
_POLICY: Final = "ValidatingAdmissionPolicy"
_RIGHTS: Final = Path(__file__).parents[2] / "hack" / "rbac.yaml"
_PROGRAM: Final = Path(sys.executable).parent / "nightcrawler-api"
_STOPS_WITHIN: Final = 15.0


class FacadeProcess:
    """The console script: `start` it, `stop` it, start it again.

    `server` among its settings is where it finds the API server, if that is not asked directly.

    Attributes:
        namespace: What it serves.
        http: A client of it.
    """

    def __init__(self, cluster: LocalCluster, namespace: str, folder: Path, **settings: object) -> None:
        self.namespace = namespace
        port = ports.pick(["api"])["api"]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        self._log = folder / f"facade-{namespace}.log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTCRAWLER_", "KUBE"))}
        used = {
            "kubeconfig": _kubeconfig(
                cluster, namespace, folder, str(settings.pop("server", cluster.server_url))
            ),
            "namespace": namespace,
            "api_port": port,
            "lease_namespace": namespace,
            "keep_lease_namespace": namespace,
        }
        # By the mark it ends with the cluster, even if the tests are killed.
        self._environment = inherited | _variables(used | settings) | {processes.MARK: str(cluster.folder)}
        self._process: subprocess.Popen[bytes] | None = None

    def twin(self, **settings: object) -> FacadeProcess:
        """Another replica, with the same settings but for these, and a port of its own; not started yet."""
        made = copy.copy(self)
        port = ports.pick(["api"])["api"]
        made.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        made._environment = self._environment | _variables({"api_port": port, **settings})
        made._log = self._log.with_name(f"twin-{port}-{self._log.name}")
        made._process = None
        return made

    def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """All that it has logged so far, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *, ready: bool | None = True) -> None:
        """Start it, and wait until it can serve; until it answers (`ready=False`), or not at all (None)."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_PROGRAM)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if ready is None:
            return
        wanted = (200,) if ready else (200, 503)
        eventually(lambda: self._readiness() in wanted, what="the facade to be ready", within=90)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end, and wait until it has, with exit code 0 and nothing wrong in its log."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(_STOPS_WITHIN)
        assert code == 0, f"the facade ended with exit code {code}:\n{self.log[-4_000:]}"

    def close(self) -> None:
        """End it however it is, and fail if its log shows a bug."""
        self.http.close()
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop()
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            print(f"--- facade of {self.namespace}\n{self.log}")  # noqa: T201 - pytest shows it if a test fails
        assert "Traceback" not in self.log, f"the facade logged a bug:\n{self.log[-6_000:]}"

    def _readiness(self) -> int:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the facade ended instead of starting:\n{self.log[-4_000:]}")
        try:
            return self.http.get("/readyz").status_code
        except httpx.TransportError:
            return 0


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    return {f"NIGHTCRAWLER_{name.upper()}": str(value) for name, value in settings.items()}


class Served:
    """A namespace and its facade: what users do over REST, and what kubectl and the operator do beside it."""

    def __init__(self, cluster: LocalCluster, facade: FacadeProcess) -> None:
        self.cluster = cluster
        self.facade = facade
        self.http = facade.http
        self.namespace = facade.namespace

    # --- over REST -----------------------------------------------------------------------------------

    def ask(self, verb: str, path: str = "", body: Any = None, *, code: int = 200, **query: Any) -> Json:
        """The answer to a request of `/api/workflows` and below, which must have this code."""
        # Not `json=`: that would not send a body of null.
        sent = {} if body is None else {"json": body}
        answer = self.http.request(verb, f"/api/workflows{path}", params=query, **sent)
        assert answer.status_code == code, answer.text
        expected = PROBLEM if code >= 400 else "application/json"
        assert answer.headers["content-type"] == expected
        read: Json = answer.json()
        return read

    def create(self, **body: Any) -> str:
        """Create a workflow; its id."""
        created = self.ask("POST", body={"name": "A workflow", **body}, code=201)
        return str(created["id"])

    def execute(self, workflow: str, **body: Any) -> str:
        """Execute a workflow; the execution's id."""
        return str(self.ask("POST", f"/{workflow}/execute", body, code=201)["executionId"])

    def refused(self, verb: str, path: str, body: Any = None, *, code: int) -> Json:
        """A problem, checked for the form that all have."""
        problem = self.ask(verb, path, body, code=code)
        assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "requestId"}
        assert problem["status"] == code
        return problem

    # --- beside the facade ---------------------------------------------------------------------------

    def apply(self, what: Builder | Json) -> Json:
        """Create an object as kubectl would."""
        manifest = what.manifest() if isinstance(what, Builder) else what
        kept: Json = self.cluster.api.post(path_of(manifest["kind"], self.namespace), manifest)
        return kept

    def stored(self, kind: str, name: str) -> Json:
        """An object as the API server has it."""
        read: Json = self.cluster.api.get(f"{path_of(kind, self.namespace)}/{name}")
        return read

    def exists(self, kind: str, name: str) -> bool:
        """Whether the API server has an object."""
        return self.cluster.api.exists(f"{path_of(kind, self.namespace)}/{name}")

    def report(self, execution: str, **status: Any) -> None:
        """Write an execution's status, as the operator does."""
        path = f"{path_of(EXECUTIONS.kind, self.namespace)}/{execution}/status"
        self.cluster.api.merge(path, {"status": status})

    def report_workflow(self, workflow: str, **status: Any) -> None:
        """Write a workflow's status, as the operator does."""
        path = f"{path_of(WORKFLOWS.kind, self.namespace)}/{workflow}/status"
        self.cluster.api.merge(path, {"status": status})


def _kubeconfig(cluster: LocalCluster, namespace: str, folder: Path, server: str) -> Path:
    """A kubeconfig for a service account of the namespace that has the facade's rights and no others."""
    cluster.kubectl("create", "serviceaccount", USER, f"--namespace={namespace}")
    give_rights(cluster, namespace, namespace)
    return account_kubeconfig(cluster, namespace, USER, folder, server)


def give_rights(cluster: LocalCluster, namespace: str, home: str) -> None:
    """Give the facade of a home namespace its rights there, and those of one namespace in another."""
    subject = {"kind": "ServiceAccount", "name": USER, "namespace": home}
    for document in yaml.safe_load_all(_RIGHTS.read_text(encoding="utf-8")):
        if not document["metadata"]["name"].startswith(USER):
            continue
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
        elif namespace != home:
            continue
        if "subjects" in document:
            document["subjects"] = [subject]
            # Each namespace has its own binding to the rights that are cluster-wide.
            document["metadata"]["name"] += f"-{home}"
        if document["kind"].startswith(_POLICY):
            _tie_to(document, home)
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(document))


def _tie_to(policy: Json, namespace: str) -> None:
    """Make an admission policy, or its binding, one of the facade of a namespace."""
    spec, own = policy["spec"], f"{DRY_RUN_POLICY}-{namespace}"
    policy["metadata"]["name"] = own
    if "policyName" in spec:
        spec["policyName"] = own
    else:
        account = f"system:serviceaccount:{namespace}:{USER}"
        (spec["matchConditions"][0])["expression"] = f"request.userInfo.username == '{account}'"


def account_kubeconfig(
    cluster: LocalCluster, namespace: str, account: str, folder: Path, server: str = ""
) -> Path:
    """A kubeconfig for a service account of a namespace; `server` is the API server if not asked directly."""
    token = cluster.kubectl("create", "token", account, f"--namespace={namespace}").strip()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": account,
        "contexts": [{"name": account, "context": {"cluster": "here", "user": account}}],
        "clusters": [
            {
                "name": "here",
                "cluster": {
                    "server": server or cluster.server_url,
                    "certificate-authority": str(cluster.authority),
                },
            }
        ],
        "users": [{"name": account, "user": {"token": token}}],
    }
    file = folder / f"kubeconfig-{account}-{namespace}"
    file.write_text(json.dumps(config))
    return file


@contextlib.contextmanager
def serving(cluster: LocalCluster, folder: Path, **settings: object) -> Iterator[Served]:
    """A new namespace and a facade that serves it, ended when the block is left."""
    with a_namespace(cluster) as namespace:
        facade = FacadeProcess(cluster, namespace, folder, **settings)
        try:
            facade.start()
            yield Served(cluster, facade)
        finally:
            facade.close()
            for role in (USER, f"{USER}-reviews"):
                cluster.kubectl("delete", "clusterrolebinding", f"{role}-{namespace}", "--ignore-not-found")
            policy = f"{DRY_RUN_POLICY}-{namespace}"
            for kind in (f"{_POLICY}Binding", _POLICY):
                cluster.kubectl("delete", kind, policy, "--ignore-not-found")


@contextlib.contextmanager
def serving_too(served: Served, **settings: object) -> Iterator[Served]:
    """A second facade of the same namespace, with the rights of the first, ended when the block is left."""
    facade = served.facade.twin(**settings)
    try:
        facade.start()
        yield Served(served.cluster, facade)
    finally:
        facade.close()


@contextlib.contextmanager
def environments(served: Served, *manifests: Builder) -> Iterator[None]:
    """Environments of the whole cluster, there for the facade within the block and gone after it."""
    paths = []
    try:
        for manifest in manifests:
            served.cluster.api.post(path_of("Environment"), manifest.manifest())
            paths.append(f"{path_of('Environment')}/{manifest.name}")
        _until_known(served, len(manifests))
        yield
    finally:
        for path in paths:
            served.cluster.api.delete(path)
        _until_known(served, 0)


def _until_known(served: Served, count: int) -> None:
    line = f'nightcrawler_api_objects{{kind="{names.ENVIRONMENTS.plural}"}} {count}.0'
    eventually(
        lambda: line in served.http.get("/metrics").text, what=f"the facade to know {count} environments"
    )


@pytest.fixture(scope="module")
def served(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A facade for the tests of a module."""
    with serving(cluster, tmp_path_factory.mktemp("facade")) as made:
        yield made
