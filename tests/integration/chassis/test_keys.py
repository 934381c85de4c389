"""Keys that an identity provider publishes, fetched over HTTPS, whatever it answers."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from services.chassis.auth.keys import KeyFile, KeyUrl, parse_jwks
from services.chassis.auth.verifier import Issuer, KeyUnknown, TokenInvalid, Verifier
from tests.support.identity_provider import AUDIENCE, ISSUER, Provider, running_provider

REFRESH = timedelta(minutes=5)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with running_provider(tmp_path) as provider:
        provider.add("first")
        yield provider


def keys_of(provider: Provider) -> KeyUrl:
    return KeyUrl(provider.url, refresh=REFRESH, ca_file=provider.ca_file)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("500", "the provider answers 500"),
        ("redirect", "the provider answers 302"),
        ("garbage", "it is no JWKS"),
        ("empty", "without a key that can be used"),
        ("huge", "has more than 1048576 bytes"),
        ("slow", "does not answer within"),
    ],
)
async def test_keys_at_hand_stay_in_force(
    provider: Provider, behaviour: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.auth.keys._FETCH_WITHIN", 1.0)
    keys = keys_of(provider)
    assert await keys.fetch() == ""
    provider.behaviour = behaviour
    assert said in await keys.fetch()
    assert keys.get("first") is not None
    provider.behaviour = ""
    provider.add("second", "RS256")
    assert await keys.fetch() == ""
    assert keys.get("second") is not None


async def test_only_who_proves_to_be_the_provider_is_believed(provider: Provider) -> None:
    keys = KeyUrl(provider.url, refresh=REFRESH)
    assert "CERTIFICATE_VERIFY_FAILED" in await keys.fetch()
    by_address = provider.url.replace("localhost", "127.0.0.1")
    keys = KeyUrl(by_address, refresh=REFRESH, ca_file=provider.ca_file)
    assert "CERTIFICATE_VERIFY_FAILED" in await keys.fetch(), "the certificate is for another name"
    assert provider.asked == 0


async def test_a_key_that_is_not_known_is_looked_for_once(provider: Provider) -> None:
    verifier = Verifier([Issuer(ISSUER, AUDIENCE, keys_of(provider))])
    first = f"Bearer {provider.sign('first')}"
    principals = await asyncio.gather(*(verifier.authenticate(first) for _ in range(20)))
    assert {principal.subject for principal in principals} == {"somebody"}
    assert provider.asked == 1, "one fetch for all"
    provider.add("second", "RS256")
    for _ in range(20):
        with pytest.raises(KeyUnknown):
            await verifier.authenticate(f"Bearer {provider.sign('second')}")
    assert provider.asked == 1, "not again so soon, whoever asks"


def test_a_key_that_could_be_used_to_sign_or_is_weak_is_passed_over(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    provider.add("good", "PS256")
    entries = json.loads(provider.jwks())["keys"]
    secret = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"}
    encryption = {**entries[0], "kid": "other", "use": "enc"}
    short = {**entries[0], "kid": "short", "n": "AQAB" * 30}
    found = parse_jwks(json.dumps({"keys": [secret, encryption, short, {"kty": "EC"}, *entries]}).encode())
    assert list(found) == ["good"]
    public = found["good"]
    assert isinstance(public, jwt.PyJWK)
    assert public.algorithm_name == "PS256"
    with pytest.raises(ValueError, match="without a key"):
        parse_jwks(json.dumps({"keys": [secret]}).encode())


def test_a_token_says_not_by_which_algorithm_it_is_judged(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    provider.add("first")
    file = tmp_path / "keys.json"
    file.write_bytes(provider.jwks())
    verifier = Verifier([Issuer(ISSUER, AUDIENCE, KeyFile(file))])
    claims = jwt.decode(provider.sign("first"), options={"verify_signature": False})
    assert verifier.verify(provider.sign("first", scope=["a", "b"])).scopes == {"a", "b"}
    for algorithm, key in (("none", None), ("HS256", b"shared secret" * 4)):
        forged = jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "first"})
        with pytest.raises(TokenInvalid):
            verifier.verify(forged)
