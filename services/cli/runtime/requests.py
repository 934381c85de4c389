"""What a supervisor does for those who ask it on its control socket."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from services.cli.runtime.control import Handler
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.part import State
from services.cli.runtime.status import StatusFile
from services.cli.runtime.stream_memory import StreamMemory
from services.cli.runtime.supervisor import Supervisor

RESTART = "restart"
STATUS = "status"
ACKNOWLEDGE = "acknowledge"
# The patience of a start, and that of the longest stop before it.
RESTART_BUDGET = timedelta(seconds=120)
_POLL_SECONDS = 0.05


def request_handlers(supervisor: Supervisor, status: StatusFile, memory: StreamMemory) -> Mapping[str, Handler]:
    """The handlers by what is asked."""

    async def restart(request: dict[str, Any]) -> dict[str, Any]:
        name = str(request.get("part"))
        if name not in supervisor.status:
            raise ConfigurationProblem(f"no part is called {name!r}; there are {', '.join(supervisor.status)}")
        begun = time.monotonic()
        try:
            async with asyncio.timeout(RESTART_BUDGET.total_seconds()):
                await supervisor.restart(name, "a restart was asked for")
                await _healthy(supervisor, name)
        except TimeoutError:
            reason = supervisor.status[name].reason or supervisor.status[name].state
            raise RuntimeProblem(
                f"{name} is not healthy {RESTART_BUDGET.total_seconds():.0f} s after the restart: {reason}; "
                f"'tocsin logs {name}' may tell why"
            ) from None
        return {"pid": supervisor.status[name].pid, "seconds": time.monotonic() - begun}

    async def tell(_request: dict[str, Any]) -> dict[str, Any]:
        return status.content()

    async def acknowledge(request: dict[str, Any]) -> dict[str, Any]:
        return {"acknowledged": memory.acknowledge(float(request["until"]))}

    return {RESTART: restart, STATUS: tell, ACKNOWLEDGE: acknowledge}


async def _healthy(supervisor: Supervisor, name: str) -> None:
    while supervisor.status[name].state is not State.HEALTHY:  # noqa: ASYNC110 - a part's state has no event
        await asyncio.sleep(_POLL_SECONDS)
