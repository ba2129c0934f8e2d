"""Receivers of messages and traces, as a process beside what is measured: webhooks, e-mails, OTLP.

`python -m tests.bench.receivers FOLDER` writes into the folder where they are, and serves until it is ended.
They take everything, and say how much they have taken.
"""

from __future__ import annotations

import base64
import http.server
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from typing_extensions import override

from tests.support.collector import Collector
from tests.support.receivers import Certificates, MailReceiver, WebReceiver

PLACE: Final = "receivers.json"
_USER, _PASSWORD = "bench", "not a secret"
_SIGNED_WITH: Final = "whsec_" + base64.b64encode(b"a secret that the receiver has").decode()


@dataclass(frozen=True, slots=True)
class Receivers:
    """Where they are; `mail` is host and port, `count` the URL that says how much has come."""

    web: str
    mail: str
    traces: str
    count: str
    authority: str

    async def taken(self) -> Mapping[str, int]:
        """How many webhooks, e-mails and traces have come so far."""
        async with aiohttp.ClientSession() as session, session.get(self.count) as answer:
            found: dict[str, int] = await answer.json()
            return found

    def write_targets(self, folder: Path) -> None:
        """Write the targets of messages into a folder, as a Secret is mounted."""
        targets = {
            "webhook-url": f"{self.web}/hook",
            "webhook-secret": _SIGNED_WITH,
            "smtp-url": f"smtp://{_USER}:{quote(_PASSWORD)}@{self.mail}",
            "email-from": "nightcrawler@example.com",
            "email-to": "ops@example.com",
        }
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in targets.items():
            (folder / key).write_text(value)


def read(folder: Path) -> Receivers | None:
    """Where the receivers are that write into a folder; None until they serve."""
    place = folder / PLACE
    return Receivers(**json.loads(place.read_text())) if place.exists() else None


def main(folder: Path) -> None:
    """Serve until ended."""
    signed = Certificates(folder)
    collector = Collector()
    mailing = MailReceiver(signed, _USER, _PASSWORD, implicit=False)
    with WebReceiver(signed).serving() as web, mailing.serving() as mail, collector.serving():

        class Count(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                taken = {
                    "webhook": len(web.posted),
                    "email": len(mail.mailed),
                    "traces": len(collector.requests),
                }
                body = json.dumps(taken).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Count) as server:
            found = Receivers(
                web=web.url,
                mail=mail.address,
                traces=collector.endpoint,
                count=f"http://127.0.0.1:{server.server_port}/",
                authority=str(signed.authority),
            )
            partial = folder / f"{PLACE}.part"
            partial.write_text(json.dumps(asdict(found)))
            partial.replace(folder / PLACE)
            server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
