"""The operator's process: settings, logs, connection, then Kopf until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from nightcrawler_crds import runtime
from nightcrawler_crds.commandline import read_arguments
from nightcrawler_crds.errors import ConfigurationError
from nightcrawler_crds.kube.connection import Connection
from nightcrawler_operator import logs, settings
from nightcrawler_operator.handlers import registry
from nightcrawler_operator.kopf_alone import kopf
from nightcrawler_operator.probes import serve
from nightcrawler_operator.service import Operator

log = logging.getLogger(__name__)


def main() -> None:
    """Run the operator; the console script `nightcrawler-operator`.

    Raises:
        SystemExit: With 2 and a sentence, if it cannot be configured or an argument is not known.
    """
    read_arguments("nightcrawler-operator", "The operator of Nightcrawler.", settings.Settings)
    try:
        configured = settings.load()
        runtime.read_deep_json()
        runtime.keep_tls_buffers_small()
        logs.set_up(configured.log_level, configured.log_format)
        asyncio.run(_run(configured))
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging may be what is misconfigured
        sys.exit(2)


async def _run(configured: settings.Settings) -> None:
    kubeconfig = str(configured.kubeconfig) if configured.kubeconfig else None
    connection = await Connection.open("nightcrawler-operator", kubeconfig=kubeconfig)
    operator = Operator(configured, connection)
    namespaces = [configured.watch_namespace] if configured.watch_namespace else []
    # Kopf's own would ask for the user's name, and a Pod may run as a user that has none.
    identity: Any = operator.own.identity
    async with serve(operator):
        await kopf.operator(
            registry=registry(operator),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            identity=identity,
        )


if __name__ == "__main__":
    main()
