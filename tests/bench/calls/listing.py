"""The calls that are measured. A new endpoint is a line more here, and a twin in `twins`."""

from tests.bench.calls import flows, preparing
from tests.bench.calls.call import Call, Flow, milliseconds
from tests.bench.calls.world import VIDEO

_ALERT = {"uid": "cam-{n}", "video": VIDEO, "timestamp": 1_720_000_000.5, "store": "store-42"}
_NOTIFICATION = {
    "tenant": "test",
    "user": "u{n}",
    "type": "INFO",
    "title": "Hello",
    "body": "World",
    "channel": "CONSOLE",
}
_PAYLOAD = '{"device": "meter-1", "energy": 12.5, "unit": 3, "ts": {n}}'
_ENDPOINT = {"tenant": "test", "channel": "FCM", "address": "token-{n}"}
_PROBES_LEFT = "SELECT count(*) FROM ingestion.alerts WHERE state < 3"
_DELIVERIES_LEFT = "SELECT count(*) FROM notification.deliveries WHERE state = 'OPEN'"

CALLS: tuple[Call | Flow, ...] = (
    Call(name="alert", path="/v1/alerts", body=_ALERT, frozen="media-probe", unfinished=_PROBES_LEFT),
    Call(name="probed-alert", path="/v1/alerts", body=_ALERT, unfinished=_PROBES_LEFT),
    Flow(name="alerts-to-rows", title=f"{flows.ALERTS:,} alerts to rows", run=flows.alerts_to_rows),
    Call(name="payload", path="/v1/devices/ep1/payloads", body=_PAYLOAD, first=milliseconds, prepare=preparing.meter),
    Call(name="notification", path="/v1/notifications", body=_NOTIFICATION, unfinished=_DELIVERIES_LEFT),
    Flow(
        name="fcm-bulk",
        title=f"bulk of {flows.BULK:,} to FCM (beside: the client alone)",
        run=flows.bulk_to_fcm,
        twin=flows.client_to_fcm,
    ),
    Call(name="endpoint", path="/v1/users/u{n}/endpoints", body=_ENDPOINT),
    Call(
        name="notifications",
        path="/v1/notifications?tenant=test&user=reader&unread=true&pageSize=20",
        prepare=preparing.unread_notifications,
    ),
    Call(
        name="mark-read",
        path="/v1/notifications/00000000-0000-4000-8000-{n}:markRead",
        body={"tenant": "test"},
        rows=preparing.notifications_from,
    ),
    Call(
        name="average",
        path="/v1/buildings/{building}/rooms/r{connection}/average",
        spread=preparing.ROOMS,
        prepare=preparing.building_with_readings,
    ),
    Call(
        name="windows",
        path="/v1/buildings/{building}/rooms/r{connection}/windows?step=60s&pageSize=20",
        spread=preparing.ROOMS,
        prepare=preparing.building_with_readings,
    ),
    Call(name="create-building", path="/v1/buildings", body={"id": "b{n}"}),
    Call(name="building", path="/v1/buildings/reference", prepare=preparing.building),
)
NAMES = tuple(call.name for call in CALLS)
