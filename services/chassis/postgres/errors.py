"""Translates PostgreSQL failures to the domain errors of the chassis.

Failures are told apart by exception class, SQLSTATE and constraint name, never by their text. What is not
listed here is a defect of ours (wrong SQL, wrong type) and passes unchanged, to be logged as an internal error.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import asyncpg

from services.chassis.errors import Aborted, DomainError, Unavailable

ConstraintErrors = Mapping[str, Callable[[], DomainError]]
"""Constraint name -> maker of the domain error that its violation means to the caller."""

CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""What a call may raise when the server went away or is still starting; asking again later may succeed."""

# Kinds of InterfaceError that no waiting mends: a wrong argument, a wrong option.
_OUR_DEFECT = (asyncpg.DataError, asyncpg.ClientConfigurationError, asyncpg.UnsupportedClientFeatureError)
_RETRY_TRANSACTION = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
_TOO_BUSY = (asyncpg.TooManyConnectionsError, asyncpg.QueryCanceledError, TimeoutError)
_FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.ConfigurationLimitExceededError)
_ROOM_MAY_COME = timedelta(seconds=10)


def translate(error: BaseException, constraints: ConstraintErrors | None = None) -> DomainError | None:
    """The domain error that `error` means, or None where it means none.

    Serialization failures and deadlocks are `Aborted` (run the transaction again), a lost or refused
    connection, a cancelled statement, a time-out and a full disk (reason STORAGE_FULL) are `Unavailable`, and
    a violated constraint is whatever `constraints` says for its name.
    """
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        name = getattr(error, "constraint_name", None)
        make = (constraints or {}).get(name or "")
        return make() if make is not None else None
    if isinstance(error, _OUR_DEFECT):
        return None
    if isinstance(error, _RETRY_TRANSACTION):
        return Aborted("the transaction met a concurrent one; run it again")
    if isinstance(error, _FULL):
        return Unavailable("the database has no room left", reason="STORAGE_FULL", retry_after=_ROOM_MAY_COME)
    if isinstance(error, _TOO_BUSY):
        return Unavailable("the database did not answer in time")
    if isinstance(error, CONNECTION_LOST):
        return Unavailable("the database cannot be reached")
    return None


@contextmanager
def translated(constraints: ConstraintErrors | None = None) -> Generator[None]:
    """Raises the domain error for every PostgreSQL failure inside the block (see `translate`)."""
    try:
        yield
    except DomainError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        domain_error = translate(error, constraints)
        if domain_error is None:
            raise
        raise domain_error from error
