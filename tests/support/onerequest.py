"""One request from wherever this process runs: read from standard input, answered on standard output.

The facade's Service has its address in the cluster's own network only, and the API server's proxy to it keeps
the caller's token to itself.
"""

from __future__ import annotations

import json
import sys
from typing import Final

import httpx

_PATIENCE: Final = 30.0


def main() -> None:
    """Send `method`, `url`, `headers` and `json`; write `status` and `body`."""
    asked = json.load(sys.stdin)
    with httpx.Client(timeout=_PATIENCE, trust_env=False) as client:
        answer = client.request(
            asked["method"], asked["url"], headers=asked["headers"], json=asked.get("json")
        )
    json.dump({"status": answer.status_code, "body": answer.json()}, sys.stdout)


if __name__ == "__main__":
    main()
