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
        ("invoice_lease", timedelta(seconds=10), "INVOICE_LEASE"),
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


@pytest.mark.parametrize("content", ["{}", "[]", '{"type": "service_account", "project_id": 1}', "no json"])
def test_what_is_no_service_account_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"key\.json|Expecting"):
        ServiceAccount.read(path)
