"""How the facade's process listens."""

from __future__ import annotations

import socket

from nightcrawler_api.__main__ import _listen
from nightcrawler_api.settings import Settings


def test_responses_do_not_wait_for_a_tcp_acknowledgement() -> None:
    with _listen(Settings(api_port=0)) as listening:
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
