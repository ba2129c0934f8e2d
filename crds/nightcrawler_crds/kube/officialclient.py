"""Kubeconfigs that are not plain, read by the official client. Importing this takes 10 MB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from nightcrawler_crds.kube.identity import Identity
from nightcrawler_crds.kube.kubeconfig import refuse_unsupported

T = TypeVar("T")

_PLUGIN_TIMEOUT: Final = 30.0
"""Seconds that a credential plugin may take."""


async def read(kubeconfig: str) -> Identity:
    """The identity in a kubeconfig, or in several separated by colons.

    Raises:
        ValueError: It cannot be used. The official client raises errors of other types, too.
    """
    configuration = Configuration()
    loader = await _waited(
        config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    )
    # There is no public name for the entries that it has read.
    cluster, user = _entry(loader._cluster), _entry(loader._user)  # noqa: SLF001
    refuse_unsupported(cluster, user, kubeconfig)

    async def authorization(refused: bool) -> str | None:
        if refused:
            vars(loader).pop("exec_plugin_expiry", None)  # or it would not run the plugin again
        await _waited(loader.load_and_set(configuration))
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


async def _waited(loading: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(_PLUGIN_TIMEOUT):
            return await loading
    except TimeoutError as error:
        raise ValueError(f"no answer within {_PLUGIN_TIMEOUT:g} s") from error
    except config.ConfigException as error:
        # The message repeats the whole entry of the kubeconfig, credentials included.
        raise ValueError(str(error).partition("/{")[0]) from None


def _entry(node: Any) -> dict[str, Any]:
    entry: dict[str, Any] = node.value if node is not None else {}
    return entry


async def _token(configuration: Configuration, user: dict[str, Any]) -> str | None:
    token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    if "exec" in user and not (token or configuration.cert_file):
        # The official client only logs the plugin's error.
        raise ValueError(f"the plugin {user['exec'].get('command')!r} gave no credentials")
    return str(token).strip() if token else None
