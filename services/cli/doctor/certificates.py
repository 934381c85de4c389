"""Until when a certificate or a token is good."""

from datetime import UTC, datetime, timedelta

from services.cli.doctor.check import Outcome, failed, ok, warning

SOON = timedelta(days=14)


def until_outcome(
    what: str, ends: datetime, advice: str, *, soon: timedelta = SOON, now: datetime | None = None
) -> Outcome:
    """What to say of something that is good until `ends`."""
    left = ends - (now or datetime.now(UTC))
    said = f"{what} is good until {ends:%Y-%m-%d %H:%M} UTC ({left.days} days)"
    if left <= timedelta(0):
        return failed(f"{what} ended at {ends:%Y-%m-%d %H:%M} UTC", advice)
    return warning(said, advice) if left < soon else ok(said)


def certificate_end(der: bytes) -> tuple[str, datetime]:
    """Whose a certificate is, and its end. Raises ValueError."""
    # Only when needed: it takes a while to load.
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject.rfc4514_string(), certificate.not_valid_after_utc


def earliest_end(pem: bytes) -> tuple[str, datetime]:
    """Of the certificates in a file the one that ends first. Raises ValueError when there is none."""
    from cryptography import x509

    found = x509.load_pem_x509_certificates(pem)
    first = min(found, key=lambda one: one.not_valid_after_utc)
    return first.subject.rfc4514_string(), first.not_valid_after_utc
