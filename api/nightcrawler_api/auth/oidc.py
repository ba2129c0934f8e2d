"""Callers by tokens of an OpenID Connect provider: signature, then claims.

Only named, asymmetric algorithms are accepted, and a key is used only with algorithms of its own kind: so a
public key never verifies what was signed with it as a shared secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from nightcrawler_api.auth.claims import ClaimRules, Refused, caller_of
from nightcrawler_api.auth.issuer import IssuerKeys
from nightcrawler_api.caller import Caller
from nightcrawler_api.errors import Unauthenticated

MAX_TOKEN_BYTES: Final = 32 << 10
_MOST_KEPT: Final = 4_000
_MOST_KEYS: Final = 20
_LEAST_RSA_BITS: Final = 2_048
_MODULI: Final = range(342, 1_400)
"""Characters of base64: from 2,048 to 8,192 bits. Larger keys take long to verify, as anyone could ask."""
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, str]] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_TYPES: Final = ("", "jwt", "at+jwt", "application/at+jwt")

_Key = RSAKey | ECKey


class _Header(msgspec.Struct):
    """What is read of a token's header."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = None
    b64: Any = None


@dataclass(frozen=True, slots=True)
class _Kept:
    caller: Caller
    version: int


class OidcCallers:
    """Identifies callers by tokens. Verified ones are remembered until they expire, or keys change."""

    def __init__(self, keys: IssuerKeys, rules: ClaimRules, algorithms: Collection[str]) -> None:
        self._keys = keys
        self._rules = rules
        self._algorithms = tuple(algorithms)
        self._registry = jws.JWSRegistry(algorithms=self._algorithms, strict_check_header=False)
        self._registry.max_header_length = 4096
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    async def identify(self, token: str) -> Caller:
        """The caller of a token.

        Raises:
            Unauthenticated: The token is not accepted; with a sentence that says why.
            IdentityUnavailable: It is signed with a key that cannot be looked up now.
        """
        await self._keys.refresh()
        # A digest in place of the token: a token that leaks from memory could be used.
        digest = hashlib.blake2b(token.encode(errors="surrogateescape"), digest_size=32).digest()
        now = time.time()
        kept = self._kept.get(digest)
        if kept is not None and kept.version == self._keys.version and (kept.caller.expires or 0.0) > now:
            self._kept.move_to_end(digest)
            return kept.caller
        try:
            claims = await self._verified(token)
            caller = caller_of(claims, self._rules, now)
        except Refused as error:
            raise Unauthenticated(str(error)) from None
        self._kept[digest] = _Kept(caller, self._keys.version)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return caller

    async def _verified(self, token: str) -> Mapping[str, Any]:
        header = self._header(token)
        candidates = await self._keys.named(header.kid)
        suitable = [key for key in candidates if _suits(key, header.alg)]
        keys = [key for key in map(_import, suitable[:_MOST_KEYS]) if key is not None]
        if not keys:
            named = f"the key {header.kid!r}" if header.kid else "a key"
            raise Refused(f"the token is signed with {named} that {self._rules.issuer} does not have")
        payload = self._payload(token, keys)
        try:
            claims = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            claims = None
        if not isinstance(claims, dict):
            raise Refused("the token has no claims that can be read")
        return claims

    def _header(self, token: str) -> _Header:
        if len(token) > MAX_TOKEN_BYTES:
            raise Refused(
                f"the token is longer than {MAX_TOKEN_BYTES} bytes; use one that names fewer groups"
            )
        parts = token.split(".")
        if len(parts) != 3:
            raise Refused("the token is not a signed JSON Web Token of three parts")
        try:
            padded = parts[0] + "=" * (-len(parts[0]) % 4)
            header = msgspec.json.decode(
                base64.b64decode(padded, altchars=b"-_", validate=True), type=_Header
            )
        except (binascii.Error, ValueError):
            raise Refused("the token's header cannot be read") from None
        if header.alg not in self._algorithms:
            accepted = ", ".join(self._algorithms)
            raise Refused(f"the token is signed by {header.alg[:20]!r}; accepted here: {accepted}")
        if header.crit is not None or header.b64 is not None:
            raise Refused("the token's header asks for extensions that are not supported")
        kind = (header.typ or "").lower()
        if kind not in _TYPES:
            raise Refused(f"the token is a {kind[:20]!r}; send an access or ID token")
        return header

    def _payload(self, token: str, keys: Sequence[_Key]) -> bytes:
        for key in keys:
            try:
                found = jws.deserialize_compact(token, key, self._algorithms, self._registry)
            except (JoseError, ValueError, TypeError):
                continue
            return found.payload or b""
        raise Refused("the token's signature is wrong")


def _suits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key is for signatures by an algorithm: by its kind, and by what it says itself."""
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ("verify",)):
        return False
    if key.get("alg", algorithm) != algorithm:
        return False
    if key.get("kty") == "RSA":
        return algorithm in _RSA and len(str(key.get("n")).rstrip("=")) in _MODULI
    return key.get("kty") == "EC" and key.get("crv") == _CURVES.get(algorithm)


def _import(key: Mapping[str, Any]) -> _Key | None:
    """A key as the library has it; None if it cannot be read, or is too short."""
    try:
        if key["kty"] == "EC":
            return ECKey.import_key({field: key[field] for field in ("kty", "crv", "x", "y")})
        found = RSAKey.import_key({field: key[field] for field in ("kty", "n", "e")})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return found if found.public_key.key_size >= _LEAST_RSA_BITS else None
