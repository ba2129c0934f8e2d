"""Tokens against a real issuer: signatures, algorithms, keys that rotate, an issuer that is away, storms."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from joserfc import jws

from nightcrawler_api.auth import issuer as keysmodule
from nightcrawler_api.auth.claims import ClaimRules
from nightcrawler_api.auth.issuer import IssuerKeys
from nightcrawler_api.auth.oidc import MAX_TOKEN_BYTES, OidcCallers
from nightcrawler_api.errors import IdentityUnavailable, Unauthenticated
from tests.support.issuer import AUDIENCE, Issuer, an_issuer

ALGORITHMS: Final = ("RS256", "ES256")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with an_issuer() as made:
        yield made


@pytest.fixture
async def keys(issuer: Issuer) -> AsyncIterator[IssuerKeys]:
    made = IssuerKeys(issuer.url)
    yield made
    await made.close()


@pytest.fixture
def callers(issuer: Issuer, keys: IssuerKeys) -> OidcCallers:
    return OidcCallers(keys, ClaimRules(issuer.url, frozenset((AUDIENCE,))), ALGORITHMS)


async def refusal(callers: OidcCallers, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await callers.identify(token)
    return str(refused.value)


def unsigned(claims: dict[str, Any], header: dict[str, Any], signature: str = "") -> str:
    parts = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (header, claims)
    )
    return ".".join((*parts, signature))


async def test_a_good_token_has_its_caller_and_the_keys_are_fetched_once(
    issuer: Issuer, callers: OidcCallers
) -> None:
    token = issuer.token("jane", groups=["vision"])
    found = await asyncio.gather(*(callers.identify(token) for _ in range(20)))
    assert {(one.name, one.id) for one in found} == {("Jane", f"{issuer.url}#jane")}
    assert (await callers.identify(issuer.token("joe"))).name == "Joe"
    assert issuer.fetches == 1


async def test_a_key_of_either_kind_verifies(issuer: Issuer, callers: OidcCallers) -> None:
    issuer.rotate(elliptic=True)
    assert (await callers.identify(issuer.token())).name == "Jane"
    nameless = issuer.signed(issuer.claims("jane"), header={"kid": None})
    assert (await callers.identify(nameless)).name == "Jane"


async def test_tokens_of_others_are_refused(issuer: Issuer, callers: OidcCallers) -> None:
    good = issuer.token()
    assert (await callers.identify(good)).name == "Jane"
    head, payload, signature = good.split(".")
    other = issuer.token("joe").split(".")
    claims = issuer.claims("jane")
    cases = {
        unsigned(claims, {"alg": "none"}): "signed by 'none'",
        unsigned(claims, {"alg": "None", "kid": issuer.current}): "signed by 'None'",
        issuer.shared_secret_token(claims): "signed by 'HS256'",
        issuer.signed(claims, header={"alg": "PS256"}): "signed by 'PS256'; accepted here: RS256, ES256",
        unsigned(claims, {"alg": "RS256", "kid": issuer.current}): "signature is wrong",
        unsigned(claims, {"alg": "RS256", "kid": issuer.current}, signature): "signature is wrong",
        f"{head}.{other[1]}.{signature}": "signature is wrong",
        f"{head}.{payload}.{other[2]}": "signature is wrong",
        f"{head}.{payload}.{signature[:-4]}": "signature is wrong",
        unsigned(claims, {"alg": "ES256", "kid": issuer.current}, signature): "does not have",
        unsigned(claims, {"alg": "RS256", "kid": issuer.current, "crit": ["exp"]}): "extensions",
        issuer.signed(claims, header={"typ": "logout+jwt"}): "'logout+jwt'",
        issuer.token(exp=int(time.time()) - 60): "expired",
        issuer.token(nbf=int(time.time()) + 600): "not valid yet",
        issuer.token(aud="others"): "audience",
        issuer.token(iss="https://elsewhere"): "not from",
        "a.b": "three parts",
        "a.b.c.d.e": "three parts",
        "..": "header cannot be read",
        "e30.e30.": "header cannot be read",
        "\xff.\xff.\xff": "header cannot be read",
        "x" * (64 << 10): f"longer than {MAX_TOKEN_BYTES} bytes",
    }
    for token, says in cases.items():
        assert says in await refusal(callers, token), token[:80]
    # And it is still the good one that is accepted.
    assert (await callers.identify(good)).name == "Jane"


async def test_claims_that_are_no_object_are_refused(issuer: Issuer, callers: OidcCallers) -> None:
    key = issuer._keys[issuer.current]
    for payload in (b"[]", b"not json", b"\xff", b""):
        token = jws.serialize_compact({"alg": "RS256", "kid": issuer.current}, payload, key)
        assert "no claims" in await refusal(callers, token)


async def test_rotated_keys_are_found_and_withdrawn_ones_forgotten(
    issuer: Issuer, callers: OidcCallers, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keysmodule, "_AGAIN_SECONDS", 0.0)
    old = issuer.token()
    assert (await callers.identify(old)).subject
    issuer.rotate()
    assert (await callers.identify(issuer.token("joe"))).name == "Joe"
    assert issuer.fetches == 2
    assert (await callers.identify(old)).subject, "the old key is still served"
    issuer.rotate(keep=False)
    assert (await callers.identify(issuer.token("ann"))).name == "Ann"
    assert "does not have" in await refusal(callers, old), "also what was verified before is forgotten"


async def test_keys_are_renewed_beside_the_requests(
    issuer: Issuer, callers: OidcCallers, keys: IssuerKeys
) -> None:
    old = issuer.token("old")
    assert (await callers.identify(old)).subject
    issuer.rotate(keep=False)
    keys._fetched = keys._tried = time.monotonic() - 1.5 * keysmodule._RENEW_SECONDS
    # One request with the withdrawn key still passes, and starts the fetch that ends that.
    assert (await callers.identify(old)).subject
    assert keys._renewing is not None
    await keys._renewing
    assert "does not have" in await refusal(callers, old)


async def test_after_a_long_pause_keys_are_renewed_before_a_request(
    issuer: Issuer, callers: OidcCallers, keys: IssuerKeys
) -> None:
    old = issuer.token("old")
    assert (await callers.identify(old)).subject
    issuer.rotate(keep=False)
    keys._fetched = keys._tried = time.monotonic() - 3 * keysmodule._RENEW_SECONDS
    refused = await asyncio.gather(*(refusal(callers, old) for _ in range(20)))
    assert all("does not have" in one for one in refused)
    assert issuer.fetches == 2


async def test_after_a_long_pause_only_the_first_request_waits_for_a_provider_that_is_away(
    issuer: Issuer, callers: OidcCallers, keys: IssuerKeys
) -> None:
    known = issuer.token("known")
    assert (await callers.identify(known)).subject
    issuer.close()
    for waits in (True, False):
        keys._fetched = keys._tried = time.monotonic() - 3 * keysmodule._RENEW_SECONDS
        assert (await callers.identify(known)).subject
        assert keys._renewing is not None
        assert keys._renewing.done() is waits
    assert keys.failure


async def test_a_storm_of_unknown_keys_fetches_once(
    issuer: Issuer, callers: OidcCallers, keys: IssuerKeys
) -> None:
    assert (await callers.identify(issuer.token())).subject
    keys._tried = float("-inf")
    forged = [
        unsigned(issuer.claims("eve"), {"alg": "RS256", "kid": f"key-{number}"}, "c2ln")
        for number in range(200)
    ]
    refused = await asyncio.gather(*(refusal(callers, token) for token in forged))
    assert all("does not have" in one for one in refused)
    assert issuer.fetches == 2
    assert keys.fetches == 2


@pytest.mark.parametrize("answer", [500, 404, 302, None])
async def test_while_the_issuer_is_away_known_keys_are_used_on(
    issuer: Issuer,
    callers: OidcCallers,
    keys: IssuerKeys,
    answer: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, rotated = issuer.token("known"), ""
    assert (await callers.identify(issuer.token("joe"))).subject
    issuer.rotate()
    rotated = issuer.token("new")
    if answer is None:
        issuer.close()
    else:
        issuer.answers = answer
    keys._tried = float("-inf")
    assert (await callers.identify(known)).name == "Known"
    with pytest.raises(IdentityUnavailable, match=r"cannot be fetched: .*; try again later"):
        await callers.identify(rotated)
    asked = len(issuer.asked)
    for _ in range(20):
        with pytest.raises(IdentityUnavailable):
            await callers.identify(rotated)
    assert len(issuer.asked) == asked, "a failed fetch is not repeated at once"
    if answer is not None:
        issuer.answers = 200
        keys._tried = float("-inf")
        assert (await callers.identify(rotated)).name == "New"


@pytest.mark.parametrize(
    ("discovery", "says"),
    [
        ({"issuer": "https://elsewhere"}, "is of the issuer 'https://elsewhere'"),
        ({"jwks_uri": "file:///etc/passwd"}, "which is not https"),
        ({"jwks_uri": None}, "which is not https"),
    ],
)
async def test_a_discovery_document_of_others_is_not_used(
    issuer: Issuer, callers: OidcCallers, discovery: dict[str, Any], says: str
) -> None:
    issuer.discovery |= discovery
    with pytest.raises(IdentityUnavailable, match=says):
        await callers.identify(issuer.token())


async def test_keys_for_other_purposes_and_short_ones_verify_nothing(
    issuer: Issuer, callers: OidcCallers, monkeypatch: pytest.MonkeyPatch
) -> None:
    [good] = issuer.keys
    for changed in (
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"alg": "RS512"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"n": "AQAB" * 400},
        {"n": good["n"][:100]},
        {"n": 7},
    ):
        served = [{**good, **changed}]
        monkeypatch.setattr(Issuer, "keys", served)
        keys = IssuerKeys(issuer.url)
        fresh = OidcCallers(keys, callers._rules, ALGORITHMS)
        assert "does not have" in await refusal(fresh, issuer.token()), changed
        await keys.close()


async def test_expired_tokens_are_not_remembered(
    issuer: Issuer, callers: OidcCallers, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(exp=int(time.time()) + 5)
    assert (await callers.identify(token)).subject
    later = time.time() + 60
    monkeypatch.setattr("nightcrawler_api.auth.oidc.time.time", lambda: later)
    assert "expired" in await refusal(callers, token)
