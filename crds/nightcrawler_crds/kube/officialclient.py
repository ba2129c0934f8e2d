"""The kubeconfigs that are not plain, as the official client reads them. Importing this takes 10 MB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from nightcrawler_crds.kube.identity import Identity, refuse_what_is_not_done

T = TypeVar("T")

_PATIENCE: Final = 30.0
"""For a plugin, in seconds."""


async def read(kubeconfig: str) -> Identity:
    """Who we are by a kubeconfig, or by several with colons between them.

    Raises:
        ValueError: It cannot be used; and whatever else the official client raises of such a file.
    """
    configuration = Configuration()
    loader = await _asked(config.load_kube_config(config_file=kubeconfig, client_configuration=configuration))
    # What it has read has no other name.
    cluster, user = _said(loader._cluster), _said(loader._user)  # noqa: SLF001
    refuse_what_is_not_done(cluster, user, kubeconfig)

    async def authorization(refused: bool) -> str | None:
        if refused:
            vars(loader).pop("exec_plugin_expiry", None)  # before that it would not ask a plugin again
        await _asked(loader.load_and_set(configuration))
        return await _token(configuration, user)

    await _token(configuration, user)
    return Identity(
        server=str(configuration.host).rstrip("/"),
        authority=configuration.ssl_ca_cert,
        certificate=configuration.cert_file,
        key=configuration.key_file,
        verified=configuration.verify_ssl,
        authorization=authorization,
    )


async def _asked(asking: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asking
    except TimeoutError as error:
        raise ValueError(f"no answer within {_PATIENCE:g} s") from error
    except config.ConfigException as error:
        # It repeats the entry of the kubeconfig in full, with the credentials in it.
        raise ValueError(str(error).partition("/{")[0]) from None


def _said(node: Any) -> dict[str, Any]:
    said: dict[str, Any] = node.value if node is not None else {}
    return said


async def _token(configuration: Configuration, user: dict[str, Any]) -> str | None:
    token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    if "exec" in user and not (token or configuration.cert_file):
        # The official client only logs what the plugin said.
        raise ValueError(f"the plugin {user['exec'].get('command')!r} gave no credentials")
    return str(token).strip() if token else None
