"""Asks one service of a deployment whether it is well, as whoever runs its container does.

`python -m services.cli.deployment.healthcheck SERVICE` is `tocsin healthcheck` without the command line, which costs
more to load than the question: for checks that run all the time.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from services.cli.deployment import places
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.part import Probe, Unhealthy
from services.cli.runtime.ports import LOOPBACK
from services.cli.runtime.probes import GrpcTls, grpc_probe
from services.cli.runtime.settings import SERVICES, part_name, read_environment

_WITHIN = timedelta(seconds=4)
_LISTEN_VARIABLE = "TOCSIN_GRPC_LISTEN"
_PAUSE_SECONDS = 0.5


def probe_of(service: str, address: str, environment: Mapping[str, str]) -> Probe:
    """How a service is asked: the one of this container, where it listens by its variables, else the one that the other
    parts reach; `address` (`host:port`) wins over both. Raises ConfigurationProblem."""
    environment = read_environment(environment)
    if (name := service.replace("-", "_")) not in SERVICES:
        known = ", ".join(map(part_name, SERVICES))
        raise ConfigurationProblem(f"no service is called {service!r}; there are {known}")
    peer = environment.get(f"TOCSIN_PEER_{name.upper()}") or places.PEERS[name]
    listen = environment.get(_LISTEN_VARIABLE, "")
    here = f"{LOOPBACK}:{listen.rpartition(':')[2]}" if listen else peer
    return grpc_probe(address or here, GrpcTls.of(environment, peer))


async def ask(probe: Probe, patience: timedelta) -> None:
    """Returns when it is well; raises Unhealthy when it is not, for so long."""
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            async with asyncio.timeout(_WITHIN.total_seconds()):
                await probe(_WITHIN)
                return
        except TimeoutError:
            problem = Unhealthy(f"no answer within {_WITHIN.total_seconds():g} s")
        except Unhealthy as unhealthy:
            problem = unhealthy
        if time.monotonic() >= deadline:
            raise problem
        await asyncio.sleep(_PAUSE_SECONDS)


def main(service: str) -> int:
    """The exit code: 0 when it is well, 1 or 2 with the reason on standard error when not."""
    try:
        asyncio.run(ask(probe_of(service, "", os.environ), timedelta(0)))
    except (Unhealthy, ConfigurationProblem) as problem:
        print(f"{service}: {problem}", file=sys.stderr)
        return 1 if isinstance(problem, Unhealthy) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
