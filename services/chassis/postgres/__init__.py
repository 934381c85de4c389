"""PostgreSQL: pool, migrations, error translation, inbox and outbox."""

from services.chassis.postgres.errors import ConstraintErrors, translate, translated
from services.chassis.postgres.inbox import first_time, first_time_many, prune
from services.chassis.postgres.inbox_handler import InboxHandler, TransactionalHandler
from services.chassis.postgres.migrations import migrate
from services.chassis.postgres.outbox import Outbox, relayed
from services.chassis.postgres.pool import Connection, Database, PoolOptions, open_database, open_session
from services.chassis.postgres.relay import OutboxRelay

__all__ = [
    "Connection",
    "ConstraintErrors",
    "Database",
    "InboxHandler",
    "Outbox",
    "OutboxRelay",
    "PoolOptions",
    "TransactionalHandler",
    "first_time",
    "first_time_many",
    "migrate",
    "open_database",
    "open_session",
    "prune",
    "relayed",
    "translate",
    "translated",
]
