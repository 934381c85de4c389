"""Whose tokens a service accepts, from its settings."""

from typing import Final

from services.chassis.auth.keys import KeyFile, Keys, KeyUrl
from services.chassis.auth.verifier import Issuer, Verifier
from services.chassis.settings import ChassisSettings

PEER_ISSUER: Final = "https://tocsin.local"
PEER_AUDIENCE: Final = "tocsin-peers"
"""What the services' own tokens are for: nobody outside can use one, as the edge accepts another audience."""


def keys_of_provider(settings: ChassisSettings) -> Keys | None:
    """The keys of those who come from outside; None: nobody does."""
    if settings.auth_jwks_url:
        return KeyUrl(settings.auth_jwks_url, refresh=settings.auth_jwks_refresh, ca_file=settings.auth_jwks_ca_file)
    return KeyFile(settings.auth_jwks_file) if settings.auth_jwks_file else None


def verifier_of(settings: ChassisSettings, provider: Keys | None) -> Verifier:
    """A verifier of tokens of the identity provider, of the services' own and, where that is wanted, of development."""
    issuers: list[Issuer] = []
    if provider is not None:
        issuers.append(Issuer(settings.auth_issuer, settings.auth_audience, provider))
    if settings.peer_jwks_file is not None:
        own = KeyFile(settings.peer_jwks_file)
        issuers.append(Issuer(PEER_ISSUER, PEER_AUDIENCE, own))
        if settings.auth_dev_tokens:
            issuers.append(Issuer(PEER_ISSUER, settings.auth_audience, own))
    return Verifier(issuers, leeway=settings.auth_leeway)
