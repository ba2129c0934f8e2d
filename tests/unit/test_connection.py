"""Who we are to the API server: what can be used; what cannot is reported in a sentence at the start."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import kopf
import pytest
import yaml

from localcluster import certificates
from nightcrawler_crds.errors import ConfigurationError, Unavailable
from nightcrawler_crds.kube import identity
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_operator.handlers import credentials

_CREDENTIALS: Final = "client.authentication.k8s.io/v1"


CONTEXT: Final = {"name": "c", "context": {"cluster": "c", "user": "u"}}


def kubeconfig(user: dict[str, Any] | None = None, **changes: Any) -> str:
    """The text of one that can be used, but for its user and changes at its top or in its cluster."""
    cluster = {"server": "https://127.0.0.1:1"}
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [CONTEXT],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    for key, value in changes.items():
        (written if key in written else cluster)[key.replace("_", "-")] = value
    return yaml.safe_dump(written)


UNUSABLE: Final = {
    "an empty file": "",
    "no YAML": "a: [1",
    "a list": "- 1",
    "users that are none": kubeconfig(users=None),
    "contexts that are a number": kubeconfig(contexts=5),
    "a server that is a number": kubeconfig(server=5),
    "a server that is none for HTTP": kubeconfig(server="ftp://127.0.0.1"),
    "a certificate that is none": kubeconfig(certificate_authority_data="bm9uc2Vuc2U="),
    "a certificate that is not there": kubeconfig(certificate_authority="/nowhere"),
    "a token that is not there": kubeconfig({"tokenFile": "/nowhere"}),
    "a proxy": kubeconfig(proxy_url="http://127.0.0.1:1"),
    "another name of the server": kubeconfig(tls_server_name="kubernetes"),
    "somebody else's rights": kubeconfig({"token": "t", "as": "root"}),
    "a provider": kubeconfig({"auth-provider": {"name": "oidc", "config": {"id-token": "t"}}}),
    "a plugin that fails": kubeconfig({"exec": {"apiVersion": _CREDENTIALS, "command": "false"}}),
    "a proxy beside what only the official client reads": kubeconfig(
        proxy_url="http://127.0.0.1:1", contexts=[CONTEXT, {**CONTEXT, "name": 5}]
    ),
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_kubeconfig_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_KUBECONFIG") as refused:
        await Connection.open("test", kubeconfig=str(file))

    assert str(file) in str(refused.value)


@pytest.mark.parametrize("user", [{"tokenFile": "/nowhere"}, {"client-certificate": "/nowhere"}], ids=str)
async def test_a_missing_file_is_named(user: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="/nowhere"):
        await opened(kubeconfig(user), tmp_path)


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no .*/kubeconfig"):
        await Connection.open("test", kubeconfig=str(tmp_path / "kubeconfig"))


async def test_an_error_does_not_show_the_credentials(tmp_path: Path) -> None:
    user = {"client-certificate-data": None, "client-key-data": "c2VjcmV0"}

    with pytest.raises(ConfigurationError, match="client-certificate") as refused:
        await opened(kubeconfig(user), tmp_path)

    assert "c2VjcmV0" not in str(refused.value)


async def test_a_usable_kubeconfig_is_opened_without_a_request(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig())

    connection = await Connection.open("test", kubeconfig=str(file))

    assert (connection.server, await connection.headers()) == (
        "https://127.0.0.1:1",
        {"Authorization": "Bearer t"},
    )
    await connection.close()


def make_authority(directory: Path) -> Path:
    """The certificate of an authority, made in the directory."""
    certificates.write(directory, ["127.0.0.1"])
    return directory / "ca.crt"


async def opened(text: str, directory: Path) -> Connection:
    """A connection by a kubeconfig of this text."""
    file = directory / "kubeconfig"
    file.write_text(text)
    return await Connection.open("test", kubeconfig=str(file))


PLUGIN: Final = {
    "apiVersion": _CREDENTIALS,
    "command": "echo",
    "args": [json.dumps({"apiVersion": _CREDENTIALS, "kind": "ExecCredential", "status": {"token": "t"}})],
    "interactiveMode": "Never",
}

USERS: Final = {
    "a token": ({"token": "t"}, "Bearer t"),
    "a token in a file beside it": ({"tokenFile": "token"}, "Bearer in-file"),
    "a plugin": ({"exec": PLUGIN}, "Bearer t"),
    "a token beside what is not known here": ({"token": "t", "username": "u"}, "Bearer t"),
    "a password": ({"username": "u", "password": "p"}, "Basic dTpw"),
}


@pytest.mark.parametrize(("user", "expected"), USERS.values(), ids=USERS)
async def test_every_form_of_user_is_understood(user: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("in-file\n")

    connection = await opened(kubeconfig(user), tmp_path)

    assert await connection.headers() == {"Authorization": expected}


async def test_a_token_in_a_file_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    connection = await opened(kubeconfig({"tokenFile": "token"}), tmp_path)
    await connection.headers()
    (tmp_path / "token").write_text("new")

    connection.forget_token()

    assert await connection.headers() == {"Authorization": "Bearer new"}


async def plugged(directory: Path, **of_token: str) -> Connection:
    """A connection by a plugin that prints the file `says`, which says `first`."""
    says(directory, "first", **of_token)
    plugin = {**PLUGIN, "command": "cat", "args": [str(directory / "says")]}
    connection = await opened(kubeconfig({"exec": plugin}), directory)
    assert await connection.headers() == {"Authorization": "Bearer first"}
    return connection


def says(directory: Path, token: str, **of_token: str) -> None:
    """What the plugin prints from now on."""
    said = {"apiVersion": _CREDENTIALS, "kind": "ExecCredential", "status": {"token": token, **of_token}}
    (directory / "says").write_text(json.dumps(said))


# By which the official client compares times; made an error, it counts as a failure of the plugin.
@pytest.mark.filterwarnings("default:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("expires", ["2020-01-01T00:00:00Z", "2199-01-01T00:00:00Z"])
async def test_a_plugin_is_run_again_when_its_token_is_refused(expires: str, tmp_path: Path) -> None:
    connection = await plugged(tmp_path, expirationTimestamp=expires)
    says(tmp_path, "second")

    connection.forget_token()

    assert await connection.headers() == {"Authorization": "Bearer second"}


async def test_while_the_plugin_fails_the_last_token_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await plugged(tmp_path)
    (tmp_path / "says").unlink()

    connection.forget_token()

    assert await connection.headers() == {"Authorization": "Bearer first"}
    assert "No such file" in caplog.text


async def test_kopf_waits_while_there_are_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    connection = await opened(kubeconfig({"tokenFile": "token"}), tmp_path)

    with pytest.raises(kopf.TemporaryError, match="token is empty"):
        await credentials(connection)


async def test_a_token_file_that_is_empty_is_an_outage_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    connection = await opened(kubeconfig({"tokenFile": "token"}), tmp_path)

    with pytest.raises(Unavailable, match="token is empty"):
        await connection.headers()


async def test_paths_are_relative_to_the_kubeconfig_and_data_overrides_them(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "pki")
    data = base64.b64encode(authority.read_bytes()).decode()

    by_file = await opened(kubeconfig(certificate_authority="pki/ca.crt"), tmp_path)
    by_both = await opened(
        kubeconfig(certificate_authority="/nowhere", certificate_authority_data=data), tmp_path
    )

    assert by_file.identity.authority == str(tmp_path / "pki" / "ca.crt")
    assert (by_both.identity.authority, by_both.identity.authority_data) == (None, authority.read_text())


async def test_kopf_trusts_our_authority_whatever_text_precedes_its_certificate(tmp_path: Path) -> None:
    authority = "# Of the cluster\n" + make_authority(tmp_path).read_text()
    data = base64.b64encode(authority.encode()).decode()
    connection = await opened(kubeconfig(certificate_authority_data=data), tmp_path)

    given = await credentials(connection)

    async with given.aiohttp_session as session:
        assert session.headers["Authorization"] == "Bearer t"
    assert given.server == "https://127.0.0.1:1"


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a Pod's identity, which this process then has."""
    directory = tmp_path / "serviceaccount"
    make_authority(directory)
    (directory / "token").write_text("of-the-pod")
    monkeypatch.setattr(identity, "_SERVICE_ACCOUNT", directory)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return directory


async def test_a_pod_uses_its_service_account(pod: Path) -> None:
    connection = await Connection.open("test")

    assert connection.server == "https://10.96.0.1:443"
    assert connection.identity.authority == str(pod / "ca.crt")
    assert await connection.headers() == {"Authorization": "Bearer of-the-pod"}


async def test_an_ipv6_address_is_put_in_brackets(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")

    assert (await Connection.open("test")).server == "https://[fd00::1]:443"


async def test_a_kubeconfig_that_is_named_comes_before_the_pods_identity(pod: Path) -> None:
    assert (await opened(kubeconfig(), pod)).server == "https://127.0.0.1:1"


async def test_a_pod_without_a_ca_certificate_gets_an_error_that_names_it(pod: Path) -> None:
    (pod / "ca.crt").unlink()

    with pytest.raises(ConfigurationError, match=r"no .*/ca\.crt"):
        await Connection.open("test")


async def test_the_usual_kubeconfig_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig())

    assert (await Connection.open("test")).server == "https://127.0.0.1:1"


async def test_several_kubeconfigs_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / "first").write_text("apiVersion: v1\nkind: Config\n")
    (tmp_path / "second").write_text(kubeconfig())
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'first'}:{tmp_path / 'second'}")

    assert (await Connection.open("test")).server == "https://127.0.0.1:1"


@pytest.mark.parametrize("process", ["nightcrawler_api.__main__", "nightcrawler_operator.__main__"])
def test_a_plain_kubeconfig_needs_no_official_client(tmp_path: Path, process: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig())
    program = (
        "import asyncio, sys\n"
        f"import {process}\n"
        "from nightcrawler_crds.kube.connection import Connection\n"
        "asyncio.run(Connection.open('test', kubeconfig=sys.argv[1]))\n"
        "print('kubernetes' in sys.modules)\n"
        "import kubernetes.client\n"
        "print(kubernetes.client.V1ObjectMeta.__name__)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], check=True, capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "False\nV1ObjectMeta\n"
