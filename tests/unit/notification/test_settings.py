"""Settings that make no sense are refused by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.settings import Refused
from services.notification.adapters.channels.fcm_token import ServiceAccount
from services.notification.settings import NotificationSettings


def test_the_defaults_make_sense() -> None:
    settings = NotificationSettings()  # pyright: ignore[reportCallIssue]
    settings.verify()
    assert settings.tenant_names() == ("diabetes", "wellness", "maternity", "test")
    assert [delay.total_seconds() for delay in settings.schedule("retry_schedule").delays] == [2, 4, 8]
    # RFC 5321, 4.5.4.1: within half an hour at first, and for four to five days.
    days = settings.invoice_schedule().delays
    assert timedelta(days=5) <= sum(days, timedelta(0)) < timedelta(days=5, hours=2)
    # 4.5.3.2: the word on the message may take ten minutes.
    named = settings.model_copy(update={"invoice_smtp_timeouts": "rcpt=7m"}).invoice_timeouts()
    assert (named.rcpt, named.data) == (timedelta(minutes=7), timedelta(minutes=10))


@pytest.mark.parametrize(
    ("name", "value", "variable"),
    [
        ("tenants", "", "TENANTS"),
        ("tenants", "a,a", "TENANTS"),
        ("tenants", "a.b", "TENANTS"),
        ("tenants", "a" * 51, "TENANTS"),
        ("rate_limit", 0, "RATE_LIMIT"),
        ("retry_schedule", "2s,4", "RETRY_SCHEDULE"),
        ("webhook_retry_schedule", "soon", "WEBHOOK_RETRY_SCHEDULE"),
        ("allowed_targets", "10.0.0.1/8", "ALLOWED_TARGETS"),
        ("allowed_targets", "ftp://x", "ALLOWED_TARGETS"),
        ("lease", timedelta(seconds=20), "LEASE"),
        ("webhook_timeout", timedelta(seconds=40), "ATTEMPT_TIMEOUT"),
        ("invoice_lease", timedelta(milliseconds=10), "INVOICE_LEASE"),
        ("invoice_retry_schedule", "0s,5m", "INVOICE_RETRY_SCHEDULE"),
        ("invoice_give_up_after", timedelta(days=31), "INVOICE_GIVE_UP_AFTER"),
        ("invoice_smtp_timeouts", "greeting=5m", "INVOICE_SMTP_TIMEOUTS"),
        ("invoice_smtp_timeouts", "data=soon", "INVOICE_SMTP_TIMEOUTS"),
        ("invoice_unsubscribe", "https://a.example/\r\nBcc: x", "INVOICE_UNSUBSCRIBE"),
        ("invoice_language", "xx", "INVOICE_LANGUAGE"),
        ("invoice_mail", "link", "PUBLIC_URL"),
        ("invoice_issuer_file", Path("/nowhere.toml"), "INVOICE_ISSUER_FILE"),
        ("invoice_smtp_timeouts", "data=0s", "INVOICE_SMTP_TIMEOUTS"),
        ("invoice_bucket", "a.b", "INVOICE_BUCKET"),
        ("public_url", "tocsin.example", "PUBLIC_URL"),
        ("public_url", "https://tocsin.example/?x", "PUBLIC_URL"),
        ("link_origins", "10.0.0.0/8", "LINK_ORIGINS"),
        ("link_key_file", Path("/nonexistent"), "LINK_KEY_FILE"),
        ("link_ttl", timedelta(seconds=1), "LINK_TTL"),
        ("smtp_port", 0, "SMTP_PORT"),
        ("smtp_user", "me", "SMTP_PASSWORD"),
        ("mail_from", "nobody", "MAIL_FROM"),
        ("fcm_account_file", Path("/nonexistent"), "FCM_ACCOUNT_FILE"),
        ("fcm_base_url", "gopher://x", "FCM_BASE_URL"),
    ],
)
def test_nonsense_is_refused(name: str, value: object, variable: str) -> None:
    settings = NotificationSettings(**{name: value})  # pyright: ignore[reportArgumentType]
    with pytest.raises(Refused) as refused:
        settings.verify()
    assert refused.value.name == f"TOCSIN_NOTIFICATION_{variable}"


def test_a_currency_is_three_letters() -> None:
    settings = NotificationSettings(debt_currency="euro")  # pyright: ignore[reportCallIssue]
    with pytest.raises(Refused) as refused:
        settings.verify()
    assert refused.value.name == "TOCSIN_DEBT_CURRENCY"


@pytest.mark.parametrize("content", ["{}", "[]", '{"type": "service_account", "project_id": 1}', "no json"])
def test_what_is_no_service_account_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"key\.json|Expecting"):
        ServiceAccount.read(path)
