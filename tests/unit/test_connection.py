"""The kubeconfig at the start: what cannot be used is told in a sentence, not by the first request."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from nightcrawler_crds.connection import Connection
from nightcrawler_crds.errors import ConfigurationError


def kubeconfig(**changes: Any) -> str:
    """The text of a kubeconfig that can be used, but for these changes at its top or in its cluster."""
    cluster = {"server": "https://127.0.0.1:1"}
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
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
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_kubeconfig_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match="NIGHTCRAWLER_KUBECONFIG") as refused:
        await Connection.open("test", kubeconfig=str(file))

    assert str(file) in str(refused.value)


async def test_one_that_can_be_used_is_opened_without_a_request(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig())

    connection = await Connection.open("test", kubeconfig=str(file))

    assert (connection.server, await connection.headers()) == (
        "https://127.0.0.1:1",
        {"Authorization": "Bearer t"},
    )
    await connection.close()
