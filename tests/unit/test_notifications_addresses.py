"""Which addresses messages may go to; and that no way of writing one leads around the check."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
from typing_extensions import override

from nightcrawler_operator.decisions.notifications.targets import WebTarget
from nightcrawler_operator.effects.notifications.addresses import NotPublicError, is_public, lookup
from nightcrawler_operator.effects.notifications.delivery import DeliveryError, Message
from nightcrawler_operator.effects.notifications.web import Web
from tests.support.messaging import SIGNING_SECRET, TOKEN, facts_about


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
        # An IPv4 address in an IPv6 one: mapped, translated, tunnelled.
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
        ),
        *("2130706433", "127.1", "0x7f.0.0.1", "", "example.com"),
    ],
)
def test_all_others_are_not(address: str) -> None:
    assert not is_public(address)


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name has these addresses."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (families[":" in one], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def test_if_one_of_a_names_addresses_is_internal_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch, "8.8.8.8", "10.0.0.5")
    with pytest.raises(NotPublicError, match=r"10\.0\.0\.5"):
        await lookup("receiver.example", 443, internal=False)
    assert len(await lookup("receiver.example", 443, internal=True)) == 2


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "127.1", "0177.0.0.1", "0", "[::1]", "[::ffff:7f00:1]", "[fd00::1]"),
        *("10.1.2.3", "169.254.169.254", "localhost", "0x7f000001", "%31%32%37.0.0.1", "１２７.0.0.1"),
    ],
)
async def test_no_way_of_writing_a_loopback_address_is_connected_to(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own lookup is used, which knows many spellings."""
    connected: list[Any] = []

    class Socket(socket.socket):
        @override
        def connect(self, address: Any) -> None:
            connected.append(address)
            raise OSError("refused")

    monkeypatch.setattr("nightcrawler_operator.effects.notifications.web.socket.socket", Socket)
    web = Web(ssl.create_default_context(), internal=False)
    message = Message(facts_about("fail"), "webhook", WebTarget(f"https://{host}/{TOKEN}", SIGNING_SECRET))
    try:
        with pytest.raises(DeliveryError) as refused:
            await web.send(message)
    finally:
        await web.close()
    assert not connected
    assert TOKEN not in str(refused.value)


async def test_a_name_that_leads_inside_is_refused_for_good_and_the_address_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving_to(monkeypatch, "127.0.0.1")
    web = Web(ssl.create_default_context(), internal=False)
    message = Message(
        facts_about("fail"), "webhook", WebTarget(f"https://receiver.example/{TOKEN}", SIGNING_SECRET)
    )
    try:
        with pytest.raises(DeliveryError, match=r"address 127\.0\.0\.1 is not public") as refused:
            await web.send(message)
    finally:
        await web.close()
    assert refused.value.final
