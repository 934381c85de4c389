"""What the demo plays, step by step, through the edge over REST; every step tells what it saw as a table."""

import csv
import io
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from services.cli.client import answer
from services.cli.demo.edge import Edge, eventually
from services.cli.demo.meters import Meters
from services.cli.demo.videos import BROKEN, CLAIMED
from services.cli.output import number, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from services.cli.demo.world import World

_BUILDING = "tower"
_LOSS = 0.05
_READING_INTERVAL = timedelta(seconds=10)
_SPAN = timedelta(minutes=20)
_DEBTS = 400
_RATE_LIMIT = 10
_MINUTE_AND_MORE = 90.0


@dataclass(slots=True)
class Scenario:
    """The steps share the edge, the world outside, the sizes of the videos, and a run id that keeps ids apart."""

    edge: Edge
    world: "World"
    videos: dict[str, tuple[int, int]]
    run: str
    start: datetime = field(default_factory=lambda: datetime.now(UTC))

    def steps(self) -> list[tuple[str, Callable[[], Awaitable["RenderableType"]]]]:
        """Titles and steps, in their order."""
        return [
            ("Readings over a lossy radio link", self.readings),
            ("Meters that decrease and a container that is emptied", self.meters),
            ("Video alerts, probed by a few bytes each, and signed webhooks", self.alerts),
            ("A debt file, its rejects, its invoices", self.debts),
            ("Notifications, ten a minute for each user", self.notifications),
            ("A patient's reminder, skipped when the medication was taken", self.reminders),
        ]

    async def readings(self) -> "RenderableType":
        """20 minutes of a known signal with 5 % of the readings lost, a neighbour room, and impossible values."""
        await self._make_reminders()
        losses = random.Random(self.run)
        end = self.start - timedelta(seconds=2)
        times = [end - offset * _READING_INTERVAL for offset in range(int(_SPAN / _READING_INTERVAL))]
        sent, truth = [], []
        for time in times:
            celsius = 21.0 + 2.0 * math.sin(time.timestamp() / 300)
            if time > self.start - timedelta(minutes=15):
                truth.append(celsius + 273.15)
            if losses.random() >= _LOSS:
                sent.append(self._reading("lobby", "temperature", celsius, time, unit="C"))
        neighbour = [self._reading("cellar", "temperature", 9.5, time, unit="C") for time in times]
        impossible = [self._reading("lobby", "temperature", -300.0, self.start, unit="C")]
        batch = await self.edge.post("/v1/readings:batch", {"readings": sent + neighbour + impossible})
        refused = batch["rejections"][0]
        lobby = await self._average(
            "lobby",
            at_least=len([r for r in sent if r["eventTime"] > _rfc3339(self.start - timedelta(minutes=15))]) - 1,
        )
        cellar = await self._average("cellar", at_least=1)
        statistics = lobby["statistics"]
        return table(
            "",
            ("what", "value>"),
            [
                (
                    "readings measured / sent / accepted",
                    f"{2 * len(times)} / {len(sent) + len(neighbour)} / {batch['accepted']}",
                ),
                (f"refused ({refused['reason']})", refused["message"]),
                ("lobby, 15 min mean, received readings", f"{number(statistics['mean'])} K"),
                ("lobby, time-weighted mean", f"{number(statistics.get('timeWeightedMean'))} K"),
                ("lobby, true mean without the loss", f"{number(sum(truth) / len(truth))} K"),
                ("lobby, received / expected", _percent(statistics.get("receivedRatio"))),
                ("lobby, covered time", _percent(statistics.get("coveredRatio"))),
                ("cellar, not mixed with the lobby", f"{number(cellar['statistics']['mean'])} K"),
            ],
        )

    async def meters(self) -> "RenderableType":
        """Counters that decrease, a container that is emptied: what became of them."""
        return await Meters(self.edge, f"{_BUILDING}-{self.run}", self.run, self.start.timestamp()).play()

    async def alerts(self) -> "RenderableType":
        """Real videos of four kinds, one that a phone has turned, one that lies about its size, one that is none, one
        that is missing; a webhook for each result."""
        types = ["tocsin.events.v1.VideoProbed", "tocsin.events.v1.VideoProbeFailed"]
        async with self.edge.subscribed(self.world.webhook_url, types) as secret:
            self.world.webhook_secret = secret
            return await self._probed()

    async def _probed(self) -> "RenderableType":
        names = [*self.videos, BROKEN, "missing.mp4"]
        uids = {f"cam-{self.run}-{index}": name for index, name in enumerate(names)}
        for uid, name in uids.items():
            body = {"uid": uid, "video": f"/videos/{name}", "timestamp": self.start.timestamp(), "store": "store-42"}
            await self.edge.post("/v1/alerts", body)
            # The camera retries: the same alert again has no second effect.
            await self.edge.post("/v1/alerts", body)
        rows: list[tuple[str, str, str, str]] = []
        for uid, name in uids.items():
            alert = await self.edge.until(f"/v1/alerts/{uid}", lambda a: a["state"] in ("PROBED", "FAILED"))
            video = await self.edge.get(f"/v1/videos/{uid}")
            outcome = _picture(name, video) if alert["state"] == "PROBED" else video["failure"]
            fetched = f"{int(video['bytesFetched']):,} of {self._size(name):,}" if self._size(name) else "-"
            rows.append((name, alert["state"], outcome, fetched))
        await eventually(lambda: len({hook.event_id for hook in self.world.hooks}) >= len(uids), "webhooks")
        verified = sum(hook.verified for hook in self.world.hooks)
        rows.append(("webhooks", f"{len(self.world.hooks)} received", f"{verified} with a right signature", ""))
        return table("", ("video", "state", "result", "bytes fetched>"), rows)

    async def debts(self) -> "RenderableType":
        """A CSV with some broken rows: good ones are stored, each leads to one PDF in one e-mail."""
        text = self._debt_csv()
        upload = answer(
            await self.edge.client.post("/v1/debtFiles", content=text.encode(), headers={"content-type": "text/csv"})
        )
        again = answer(
            await self.edge.client.post("/v1/debtFiles", content=text.encode(), headers={"content-type": "text/csv"})
        )
        rejects = (await self.edge.get(f"/v1/debtFiles/{upload['id']}/rejects"))["rejects"]
        accepted = int(upload["accepted"])
        await eventually(lambda: len(self.world.mails) >= accepted, "invoices by e-mail")
        first = f"D{self.run}-0"
        pdf = await self.edge.client.get(f"/v1/debts/{first}/invoice")
        recipients = {mail.recipient for mail in self.world.mails}
        rows: list[tuple[str, str]] = [
            (
                "rows",
                f"{int(upload['rows']):,}: {accepted:,} accepted, {upload['rejected']} rejected, {upload['state']}",
            ),
            *((f"line {reject['line']}", f"{reject['reason']}: {reject['message']}") for reject in rejects),
            (
                "the same file again",
                f"same result, nothing twice (identical to {again.get('identicalTo') or again['id']})",
            ),
            ("e-mails", f"{len(self.world.mails)} to {len(recipients)} people, each with one PDF"),
            (f"invoice of {first}", f"{pdf.headers.get('content-type')}, {len(pdf.content):,} bytes"),
        ]
        return table("", ("debt file", "what happened"), rows)

    async def notifications(self) -> "RenderableType":
        """More than the limit for one user: ten go out, the others wait their turn, a waiting call is told when."""
        user = f"user-{self.run}"
        mail_count = len(self.world.mails)
        await self.edge.post(
            f"/v1/users/{user}-mail/endpoints",
            {"tenant": "wellness", "channel": "EMAIL", "address": f"{user}@example.test"},
        )
        mailed = await self._notify(f"{user}-mail", channel="EMAIL", wait=True)
        ids = [(await self._notify(user, channel="CONSOLE"))["id"] for _ in range(_RATE_LIMIT + 2)]
        query = f"/v1/notifications?tenant=wellness&user={user}&pageSize=100"
        listing = await self.edge.until(
            query, lambda page: sum(n["status"] == "SENT" for n in page["notifications"]) >= _RATE_LIMIT
        )
        states = [notification["status"] for notification in listing["notifications"]]
        refused = await self.edge.client.post(
            "/v1/notifications", json=self._notification(user, channel="CONSOLE", wait=True)
        )
        await eventually(lambda: len(self.world.mails) > mail_count, "the e-mail")
        return table(
            "",
            ("what", "value"),
            [
                (
                    "by e-mail",
                    f"{mailed['status']}: {self.world.mails[-1].subject!r} to {self.world.mails[-1].recipient}",
                ),
                (
                    f"{len(ids)} at once for one user",
                    f"{states.count('SENT')} sent, {states.count('PENDING')} wait their turn",
                ),
                (
                    "one more that waits for its answer",
                    f"HTTP {refused.status_code}: {refused.json().get('detail', '')}",
                ),
                ("try again in", f"{refused.headers.get('retry-after', '-')} s"),
            ],
        )

    async def _make_reminders(self) -> None:
        """Two patients at the next minute; both are asked about then. Made first, for the minute passes meanwhile."""
        zone = ZoneInfo("Europe/Istanbul")
        due = (datetime.now(zone) + timedelta(seconds=70)).replace(second=0, microsecond=0)
        self.world.taken.add(f"ann-{self.run}")
        for user in ("ann", "ben"):
            await self.edge.post(
                "/v1/reminders",
                {
                    "id": f"{user}-{self.run}",
                    "tenant": "diabetes",
                    "user": f"{user}-{self.run}",
                    "title": "Take your metformin",
                    "channel": "CONSOLE",
                    "timesOfDay": [f"{due:%H:%M}"],
                    "timeZone": zone.key,
                    "check": {"url": self.world.check_url},
                },
            )

    async def reminders(self) -> "RenderableType":
        """Ann has taken hers and is left alone; Ben is reminded, and opens it."""
        rows: list[tuple[str, str, str]] = []
        for user, taken in (("ann", "has taken hers"), ("ben", "has not")):
            path = f"/v1/reminders/{user}-{self.run}"
            listed = await self.edge.until(
                f"{path}/occurrences?tenant=diabetes",
                lambda page: any(one["decision"] in ("SENT", "SKIPPED") for one in page.get("occurrences", [])),
                timeout=_MINUTE_AND_MORE,
            )
            one = listed["occurrences"][0]
            if sent := one.get("notification"):
                await self.edge.until(
                    f"/v1/notifications/{sent}?tenant=diabetes", lambda found: found["status"] == "SENT"
                )
                await self.edge.post(f"/v1/notifications/{sent}:markOpened", {"tenant": "diabetes"})
            counted = await self.edge.get(f"{path}/statistics?tenant=diabetes")
            opened = f"sent {counted.get('sent', 0)}, opened {counted.get('opened', 0)}"
            rows.append((f"{user} {taken}", f"{one['decision']}: {one['reason']} ({one['checkOutcome']})", opened))
        return table("", ("patient", "at the minute", "statistics"), rows)

    def _reading(self, room: str, sensor_type: str, value: float, time: datetime, **more: str) -> dict[str, Any]:
        where = {"building": f"{_BUILDING}-{self.run}", "room": room, "sensorType": sensor_type}
        return {**where, "value": value, "eventTime": _rfc3339(time), **more}

    async def _average(self, room: str, *, at_least: int) -> dict[str, Any]:
        path = f"/v1/buildings/{_BUILDING}-{self.run}/rooms/{room}/average?sensorType=temperature"
        return await self.edge.until(path, lambda a: a["state"] == "OK" and int(a["statistics"]["count"]) >= at_least)

    def _debt_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId"])
        for index in range(_DEBTS):
            email, amount = f"debtor-{index}@example.test", f"{10 + index * 1.25:.2f}"
            if index == 17:
                email = "not an address"
            if index == 42:
                amount = "-5"
            writer.writerow(
                [f"Debtor {index}", f"{10_000_000 + index}", email, amount, "2027-01-31", f"D{self.run}-{index}"]
            )
        return text.getvalue()

    async def _notify(self, user: str, *, channel: str, wait: bool = False) -> dict[str, Any]:
        return await self.edge.post("/v1/notifications", self._notification(user, channel=channel, wait=wait))

    def _notification(self, user: str, *, channel: str, wait: bool) -> dict[str, Any]:
        content = {"title": "Your container was emptied", "body": "Thank you for recycling."}
        return {"tenant": "wellness", "user": user, "type": "INFO", "channel": channel, "wait": wait, **content}

    def _size(self, name: str) -> int:
        path = self.world.videos / name
        return path.stat().st_size if path.exists() else 0


def _picture(name: str, video: dict[str, Any]) -> str:
    """Size and codec, and what a reader of the header alone would have got wrong."""
    turned = f", turned by {video['rotation']}" if video["rotation"] else ""
    claimed = f" (header: {CLAIMED[name][0]} x {CLAIMED[name][1]})" if name in CLAIMED else ""
    return f"{video['width']} x {video['height']} {video['codec']}{turned}{claimed}"


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"
