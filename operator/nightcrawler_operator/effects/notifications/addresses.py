"""Which addresses messages may go to: public ones, unless the installation allows internal ones.

The address is checked that is connected to: a name that is looked up once for the check and once more for the
connection could change in between. If one of a name's addresses is not public, none of them is used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from nightcrawler_operator.effects.notifications.delivery import DeliveryError

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_HIDDEN_IPV4: Final = (_NAT64, ipaddress.ip_network("64:ff9b:1::/48"))


class NotPublicError(OSError):
    """A receiver's address is not public."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is not public")
        self.address = address


def is_public(address: str) -> bool:
    """Whether an IP address is of the internet: not loopback, private, link-local, shared or multicast."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour is not None or ip.teredo is not None or any(ip in net for net in _HIDDEN_IPV4):
            return False  # an IPv4 address is hidden in it, and who knows where it leads
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def lookup(host: str, port: int, *, internal: bool) -> list[ResolveResult]:
    """The addresses of a name or an address, checked unless internal ones are allowed.

    Raises:
        NotPublicError: One of them is not public.
        OSError: The name cannot be resolved.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [
        ResolveResult(
            hostname=host,
            host=str(place[0]),
            port=int(place[1]),
            family=family,
            proto=protocol,
            flags=int(socket.AI_NUMERICHOST),
        )
        for family, _, protocol, _, place in found
    ]
    for one in addresses:
        if not internal and not is_public(one["host"]):
            raise NotPublicError(one["host"])
    return addresses


def not_public(address: str) -> DeliveryError:
    """The message about a receiver whose address is not public."""
    return DeliveryError(
        f"the receiver's address {address} is not public, and this installation allows no others", final=True
    )


class CheckedResolver(AbstractResolver):
    """Resolves names for aiohttp. Addresses in URLs do not come here; see `web`."""

    def __init__(self, *, internal: bool) -> None:
        self._internal = internal

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The checked addresses."""
        return await lookup(host, port, internal=self._internal)

    @override
    async def close(self) -> None:
        """Nothing is open."""
