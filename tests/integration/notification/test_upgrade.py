"""Deliveries that an earlier version has left behind are upgraded."""

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection
from services.chassis.postgres import migrate
from services.notification.adapters.postgres.tenants import TENANT_MIGRATIONS, schema_of
from tests.support.mailbox import Mailbox
from tests.support.notification import MIGRATIONS, running_service
from tests.support.postgres import Schemas

_BEFORE = """
    INSERT INTO notification_test.notifications (id, recipient, type, title, body, channel, created_at)
    SELECT ('0197a0c8-0000-7000-8000-00000000000' || n)::uuid, 'ada', 'INFO', 'n' || n, '', channel, now()
    FROM (VALUES (1, 'EMAIL'), (2, 'EMAIL'), (3, 'CONSOLE')) AS v (n, channel);
    INSERT INTO notification_test.endpoints (id, recipient, channel, address, address_digest, updated_at)
    SELECT ('0197a0c8-0000-7000-8000-0000000000a' || n)::uuid, 'ada', 'EMAIL', n || '@example.org', n::text::bytea,
        now()
    FROM generate_series(1, 3) AS n;
    INSERT INTO notification.deliveries
        (id, kind, tenant, recipient, channel, reference, done, next_attempt_at, created_at)
    SELECT n.id, 'NOTIFICATION', 'test', 'ada', n.channel, n.id,
        CASE n.title WHEN 'n2' THEN ARRAY[
            '0197a0c8-0000-7000-8000-0000000000a1', '!0197a0c8-0000-7000-8000-0000000000a2'
        ] ELSE '{}' END, now() - interval '1 minute', now() - interval '1 minute'
    FROM notification_test.notifications n;
    INSERT INTO notification.rate_slots (delivery, lease, tenant, recipient, at)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'test', 'ada', now() - interval '1 hour');
"""


def older(tmp_path: Path, directory: Path, last: str) -> Path:
    """The migrations up to one."""
    for file in directory.glob("*.sql"):
        if file.name <= last:
            shutil.copy(file, tmp_path / file.name)
    return tmp_path


async def test_what_went_to_all_addresses_goes_to_each_that_is_left(
    databases: Callable[[Schemas], AbstractAsyncContextManager[str]],
    tmp_path: Path,
    mailbox: Mailbox,
    nats_url: str,
    nats_connection: NatsConnection,
    issuer: DevIssuer,
) -> None:
    del nats_connection  # it has made the streams
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    async with databases({}) as dsn:
        await migrate(dsn, "notification", older(shared, MIGRATIONS, "notification_0012_rotated_secrets.sql"))
        tenant = older(own, TENANT_MIGRATIONS, "tenant_0003_tokens_move.sql")
        await migrate(dsn, schema_of("test"), tenant, chassis=False)
        connection = await asyncpg.connect(dsn)
        await connection.execute(_BEFORE)
        await connection.close()
        await migrate(dsn, "notification", MIGRATIONS)
        options = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port}
        async with running_service(dsn, nats_url, issuer, **options) as service:
            ids = [f"0197a0c8-0000-7000-8000-00000000000{n}" for n in (1, 2, 3)]
            for id_, attempts in zip(ids, (3, 1, 1), strict=True):
                await service.becomes(id_, "SENT", attempts=attempts)
        found = sorted((str(mail["Subject"]), str(mail["To"])) for mail in mailbox.messages)
        assert found == [("n1", f"{n}@example.org") for n in (1, 2, 3)] + [("n2", "3@example.org")]
