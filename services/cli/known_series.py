"""What is known of a place that has nothing to show: unknown and silent are told apart."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from services.cli.errors import CommandError

if TYPE_CHECKING:
    import httpx

_NOT_FOUND = 404


def refuse_unknown(client: "httpx.Client", building: str, room: str, sensor_type: str) -> None:
    """Raises CommandError unless such a series has ever sent a reading: says which of the three is unknown, or what
    there is in its place. `room` is empty where the whole building is meant."""
    from services.cli.client import answer

    whole = f"/v1/buildings/{quote(building, safe='')}"
    asked = {"pageSize": "1000"} | ({"room": room} if room else {})
    page: dict[str, Any] = answer(client.get(f"{whole}/series", params=asked))
    types = sorted({series["sensorType"] for series in page.get("series", [])})
    if sensor_type in types:
        return
    where = f"room {room} of building {building}" if room else f"building {building}"
    if types:
        more = " and more" if page.get("nextPageToken") else ""
        raise CommandError(
            f"no device has ever sent {sensor_type} from {where}; --type takes what it has: {', '.join(types)}{more}"
        )
    # Without the right to read the catalogue the answers are others than 404, and nothing is said of it.
    if client.get(whole).status_code == _NOT_FOUND:
        raise CommandError(f"there is no building {building}")
    if room and client.get(f"{whole}/rooms/{quote(room, safe='')}").status_code == _NOT_FOUND:
        raise CommandError(f"there is no room {room} in building {building}")
    raise CommandError(f"no device has ever sent a reading from {where}")
