"""`python -m demo.forward KUBECTL NAMESPACE SERVICE`: keep a port of this host forwarded to a Service.

`kubectl port-forward` chooses one Pod and ends with it. This starts it again, so that the address that the
demo has printed outlives an upgrade.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Final

_PAUSE: Final = 1.0
_HTTP: Final = "http"
"""The name of the Service's port."""


def main() -> None:
    """Forward until SIGTERM."""
    kubectl, namespace, service = sys.argv[1:]
    port = os.environ["NIGHTCRAWLER_API_PORT"]
    command = [kubectl, "port-forward", f"--namespace={namespace}", f"service/{service}", f"{port}:{_HTTP}"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            try:
                process.wait()
            finally:
                process.terminate()
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
