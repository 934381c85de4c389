"""Whether the embedded NATS works: its own word, and a message that it stores on the disk."""

import json
import re
from datetime import timedelta
from pathlib import Path

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.disk import MIB, free_bytes
from services.cli.runtime.nats_accounts import RUNTIME_USER
from services.cli.runtime.nats_monitor import NatsLogin, NatsMonitor, NatsSession, NatsSilent
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.probes import check_room, reach
from services.cli.runtime.stream_memory import StreamMemory

ROOM_TO_RESTART_BYTES = 64 * MIB
"""With less free JetStream would run into the end of the disk again at once."""
_SHARE_OF_ONE_QUESTION = 2 / 3
_LOST = re.compile(r"(?:stream|consumer) '([^' ]+) > ([^' ]+)(?: > ([^' ]+))?' could not be recovered")


class NatsHealth:
    """The probe of the part. Of one server process or the next: it connects anew when it has to."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        runtime_password: str,
        system_password: str,
        store: Path,
        memory: StreamMemory,
        names: MeshNames,
    ) -> None:
        url = f"nats://{host}:{port}"
        self._address = host, port
        self._monitor = NatsMonitor(url, system_password)
        self._mesh = NatsSession(NatsLogin(url, RUNTIME_USER, runtime_password))
        self._store = store
        self._memory = memory
        self._names = names
        self._stored_before = False

    async def __call__(self, within: timedelta) -> None:
        """Returns when messages are stored; raises Unhealthy."""
        each = within.total_seconds() * _SHARE_OF_ONE_QUESTION
        await reach(*self._address)
        try:
            trouble = await self._monitor.trouble(each)
        except NatsSilent as silence:
            raise Unhealthy(str(silence)) from silence
        if lost := _LOST.search(trouble):
            raise self._damaged(trouble, *lost.groups())
        if trouble:
            raise self._judged(trouble)
        check_room(self._store)
        # One after the other: a question that outlives its look would end the connection of the next.
        await self._write(each)
        await self._look_at_streams(each)

    async def close(self) -> None:
        """Ends the connections."""
        await self._monitor.close()
        await self._mesh.close()

    async def _look_at_streams(self, within: float) -> None:
        try:
            self._memory.compare(await self._monitor.streams(within=within))
        except NatsSilent as silence:
            raise Unhealthy(f"the streams are not told: {silence}") from silence

    async def _write(self, within: float) -> None:
        from services.chassis.nats.topology import health_subject

        try:
            subject = self._names.subject(health_subject("runtime"))
            answer = await self._mesh.request(subject, b"", within=within)
        except NatsSilent as silence:
            raise self._judged(f"a message is not stored: {silence}", certain=False) from silence
        if answer is None:
            if self._stored_before:
                raise Unhealthy("a message is not stored: no stream takes it")
            return  # a new server, whose streams are still to be made
        if error := json.loads(answer).get("error"):
            raise self._judged(f"a message is not stored: {error.get('description', error)}", certain=False)
        self._stored_before = True

    def _damaged(self, trouble: str, account: str, stream: str, consumer: str | None) -> Unhealthy:
        """The server goes on without what it cannot read, and says so until it is started anew without it."""
        directory = self._store / "jetstream" / account / "streams" / stream
        if consumer:
            directory = directory / "obs" / consumer
        what = "its position is lost then" if consumer else "what it holds is lost then"
        advice = f"stop the mesh and put {directory} back from a backup, or remove it: it is made anew, and {what}"
        return Unhealthy(trouble, own=False, advice=advice, lasting=True)

    def _judged(self, trouble: str, *, certain: bool | None = None) -> Unhealthy:
        """JetStream keeps an error of writing until it is restarted: that is the remedy, where there is room to write.
        Without room nothing is."""
        free = free_bytes(self._store)
        if free < ROOM_TO_RESTART_BYTES:
            advice = (
                f"free some of the disk of {self._store}: {free // MIB:,} MiB are left, with "
                f"{ROOM_TO_RESTART_BYTES // MIB} MiB it goes on by itself"
            )
            return Unhealthy(trouble, own=False, advice=advice)
        return Unhealthy(trouble, certain="write error" in trouble if certain is None else certain)
