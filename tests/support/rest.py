"""Clients of REST."""

import ssl
from functools import cache


@cache
def trust() -> ssl.SSLContext:
    """What HTTP clients trust. Loading the certificates costs more than most tests, so all clients share it."""
    return ssl.create_default_context()
