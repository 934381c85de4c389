import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.auth.keys import KeyFile
from services.chassis.auth.principal import Principal, TenantDenied, current, enter
from services.chassis.auth.verifier import Issuer, TokenExpired, TokenInvalid, Verifier
from services.chassis.errors import PermissionDenied, Unauthenticated


class Clock:
    def __init__(self) -> None:
        import time

        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def verifier(issuer: DevIssuer, clock: Clock) -> Verifier:
    return Verifier([Issuer(issuer.issuer, issuer.audience, KeyFile(issuer.jwks_file, clock))], clock=clock)


def test_a_minted_token_names_its_holder(tmp_path: Path, clock: Clock) -> None:
    issuer = DevIssuer.open(tmp_path)
    token = issuer.mint(["a:read", "b:write"], tenants=["acme"], subject="me")
    expected = Principal("me", frozenset({"a:read", "b:write"}), frozenset({"acme"}))
    check = verifier(issuer, clock)
    assert check.verify(token) == expected
    assert check.verify(token) is check.verify(token)  # the second time from memory


def test_a_remembered_token_still_expires(tmp_path: Path, clock: Clock) -> None:
    issuer = DevIssuer.open(tmp_path)
    token, check = issuer.mint(ttl=timedelta(minutes=1)), verifier(issuer, clock)
    check.verify(token)
    clock.now += 64  # within the leeway of 5 s
    check.verify(token)
    clock.now += 2
    for _ in range(2):
        with pytest.raises(TokenExpired):
            check.verify(token)


def test_a_token_of_the_future_is_invalid(tmp_path: Path, clock: Clock) -> None:
    issuer = DevIssuer.open(tmp_path)
    clock.now -= 60
    with pytest.raises(TokenInvalid):
        verifier(issuer, clock).verify(issuer.mint())


def test_new_keys_are_taken_over_and_old_tokens_forgotten(tmp_path: Path, clock: Clock) -> None:
    old, new = DevIssuer.open(tmp_path / "old"), DevIssuer.open(tmp_path / "new")
    check = verifier(old, clock)
    check.verify(old.mint())
    with pytest.raises(TokenInvalid):
        check.verify(new.mint())

    old_token = old.mint()
    check.verify(old_token)
    os.replace(new.jwks_file, old.jwks_file)
    clock.now += 2
    check.verify(new.mint())
    with pytest.raises(TokenInvalid):
        check.verify(old_token)


def test_a_broken_file_leaves_the_keys_in_force(tmp_path: Path, clock: Clock) -> None:
    issuer = DevIssuer.open(tmp_path)
    check = verifier(issuer, clock)
    check.verify(issuer.mint())
    issuer.jwks_file.write_text('{"keys": [')
    clock.now += 2
    assert check.verify(issuer.mint()).subject == "developer"


def test_without_keys_everything_is_refused(tmp_path: Path) -> None:
    token = DevIssuer.open(tmp_path).mint()
    for issuers in ([], [Issuer("https://tocsin.local", "tocsin", KeyFile(tmp_path / "none.json"))]):
        with pytest.raises(TokenInvalid):
            Verifier(issuers).verify(token)


def test_memory_of_tokens_is_bounded(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.chassis.auth.verifier._MAX_REMEMBERED", 3)
    issuer = DevIssuer.open(tmp_path)
    check = verifier(issuer, clock)
    tokens = [issuer.mint(subject=str(n)) for n in range(5)]
    first = check.verify(tokens[0])
    for token in tokens[1:]:
        check.verify(token)
    assert check.verify(tokens[0]) == first
    assert check.verify(tokens[0]) is not first  # it had to be verified again


def test_the_issuer_keeps_its_key_and_guards_it(tmp_path: Path, clock: Clock) -> None:
    first, second = DevIssuer.open(tmp_path), DevIssuer.open(tmp_path)
    verifier(first, clock).verify(second.mint())
    assert stat.S_IMODE((tmp_path / "dev-issuer.pem").stat().st_mode) == 0o600
    assert '"d":' not in second.jwks_file.read_text()  # no private part
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev-issuer.pem", "jwks.json"]


def test_tenants() -> None:
    acme = Principal("s", frozenset(), frozenset({"acme"}))
    acme.require_tenant("acme")
    with pytest.raises(TenantDenied) as caught:
        acme.require_tenant("other")
    assert isinstance(caught.value, PermissionDenied)
    assert caught.value.metadata == {"tenant": "other"}
    Principal("s", frozenset(), frozenset({"*"})).require_tenant("other")
    with pytest.raises(TenantDenied):
        Principal("s", frozenset({"*"}), frozenset()).require_tenant("acme")


def test_no_principal_outside_of_a_call() -> None:
    enter(None)
    with pytest.raises(Unauthenticated):
        current()
