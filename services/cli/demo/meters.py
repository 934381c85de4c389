"""The demo's meters and containers: counters that decrease for two reasons, a container that is emptied, nonsense."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.cli.client import answer
from services.cli.demo.edge import Edge
from services.cli.output import table

if TYPE_CHECKING:
    from rich.console import RenderableType

_READINGS = 24
"""Of each meter, one a minute."""


@dataclass(frozen=True, slots=True)
class Meters:
    """The step; `start` is now, in seconds since the Unix epoch."""

    edge: Edge
    building: str
    run: str
    start: float

    async def play(self) -> "RenderableType":
        """What came, and what became of it."""
        janitor = await self._alarm_rules()
        rows = [*await self._counters(), *await self._container(), *await self._nonsense()]
        told = await self.edge.until(
            f"/v1/notifications?tenant=wellness&user={janitor}",
            lambda page: [one["status"] for one in page["notifications"]] == ["SENT"] * 2,
        )
        rows.append((f"told to {janitor}", "; ".join(one["title"] for one in reversed(told["notifications"]))))
        return table("", ("what came", "what became of it"), rows)

    async def _counters(self) -> list[tuple[str, str]]:
        plant = await self._device("meter-a", "ep1", "plant", "energy")
        roof = await self._device("meter-b", "ep2", "roof", "energy")
        half = _READINGS // 2
        for at, time in enumerate(self._times()):
            # It grows by 0.1 kWh a minute, and is replaced by a new meter half way.
            kwh = 12 + 0.1 * at if at < half else 0.1 * (at - half)
            await self._payload("ep1", {"device": plant, "energy": kwh, "unit": 3, "ts": time, "tag": "plant"})
            # It grows by 20 Wh a minute; one value is too low.
            wh = 5000 + 20 * at - (500 if at == half else 0)
            await self._payload("ep2", {"from": roof, "content": {"energy": wh}, "timestamp": time, "tag": "roof"})
        steps = _READINGS - 1
        return [
            # The step from the old meter to the new one is nobody's consumption.
            (
                f"ep1: {_READINGS} values, a new meter half way",
                await self._consumption("plant", true=100 * (steps - 1)),
            ),
            (f"ep2: {_READINGS} values, one 500 Wh too low", await self._consumption("roof", true=20 * steps)),
        ]

    async def _container(self) -> list[tuple[str, str]]:
        container = await self._device("bin", "env1", "yard", "filling_level")
        alarms = f"/v1/alarms?building={self.building}"
        *filling, emptied = zip((40, 55, 70, 82.5, 0), self._times()[-5:], strict=True)

        async def send(level: float, time: float) -> bool:
            body = {"id": container, "d": {"filling_level": level}, "ts": time, "tag": "yard"}
            return bool((await self._payload("env1", body)).get("priority"))

        lanes = [await send(*one) for one in filling]
        await self.edge.until(alarms, lambda page: len(page["alarms"]) == 1)
        # Sent while the container is full: the priority lane would overtake the values on the bulk lane.
        lanes.append(await send(*emptied))
        found = await self.edge.until(
            alarms, lambda page: [alarm["state"] for alarm in page["alarms"]] == ["CLEARED"] * 2
        )
        levels = ", ".join(f"{level:g}" for level, _ in (*filling, emptied))
        took = "the 0 took the priority lane" if lanes == [False] * 4 + [True] else f"lanes: {lanes}"
        seen = [(f"alarm {alarm['kind']}", alarm["message"]) for alarm in reversed(found["alarms"])]
        return [(f"env1: {levels} %", took), *seen]

    async def _nonsense(self) -> list[tuple[str, str]]:
        body = {"device": f"meter-a-{self.run}", "energy": "lots"}
        broken = await self.edge.client.post("/v1/devices/ep1/payloads", json=body)
        kept = f"HTTP {broken.status_code}, kept in the quarantine: {broken.json().get('detail', '')}"
        return [('ep1: "energy": "lots"', kept)]

    def _times(self) -> list[float]:
        return [self.start - 60 * ago for ago in range(_READINGS, 0, -1)]

    async def _device(self, name: str, vendor_format: str, room: str, sensor_type: str) -> str:
        device = f"{name}-{self.run}"
        await self.edge.post(f"/v1/buildings/{self.building}/rooms", {"id": room})
        place = {"building": self.building, "room": room, "sensorType": sensor_type}
        await self.edge.post("/v1/devices", {"id": device, "format": vendor_format, **place})
        return device

    async def _alarm_rules(self) -> str:
        """Rules about full and emptied containers; returns the user whom they name."""
        user = f"janitor-{self.run}"
        # Without an address the console is for those who ask for it.
        plan = {"tenant": "wellness", "type": "ALERT", "steps": [{"channel": "CONSOLE"}]}
        answer(await self.edge.client.put(f"/v1/users/{user}/channelPlan", json=plan))
        for name, title, condition in (
            ("full", "Container full", {"containerFull": {"level": 80}}),
            ("emptied", "Container emptied", {"containerEmptied": {}}),
        ):
            scope = {"building": self.building, "sensorType": "filling_level", "tenant": "wellness", "notify": [user]}
            await self.edge.post("/v1/alarmRules", {"id": f"{name}-{self.run}", "title": title, **scope, **condition})
        return user

    async def _payload(self, vendor_format: str, payload: dict[str, Any]) -> dict[str, Any]:
        return await self.edge.post(f"/v1/devices/{vendor_format}/payloads", payload)

    async def _consumption(self, room: str, true: float) -> str:
        """Once every reading is in: consumption, and what was corrected."""
        where = f"/v1/buildings/{self.building}/rooms/{room}"
        window = f"{60 * (_READINGS + 5)}s"
        average = await self.edge.until(
            f"{where}/average?sensorType=energy&window={window}",
            lambda found: int(found.get("statistics", {}).get("count", 0)) == _READINGS,
        )
        listing = await self.edge.until(f"{where}/corrections", lambda page: len(page["corrections"]) > 0)
        corrected = ", ".join(
            f"{found['kind']} {found['value']:,g} after {found['level']:,g}" for found in listing["corrections"]
        )
        return f"consumption {average['statistics']['consumption']:,g} Wh, true {true:,g} Wh; corrected: {corrected}"
