"""What media-probe reports moves the state of alerts."""

from services.chassis.nats import Delivery, Permanent
from services.chassis.nats.topology import VIDEO_FAILED_SUBJECT, VIDEO_PROBED_SUBJECT, VIDEO_STARTED_SUBJECT
from services.chassis.postgres import Connection
from services.ingestion.adapters.postgres.alerts import move
from services.ingestion.domain.alert import AlertState
from tocsin.events.v1 import videos_pb2

CONSUMER = "alert_states"


async def on_video_event(connection: Connection, delivery: Delivery) -> None:
    """Runs in the transaction of the inbox mark. Raises Permanent for what is no event of a video."""
    match delivery.subject:
        case subject if subject == VIDEO_STARTED_SUBJECT:
            started = delivery.decode(videos_pb2.VideoProbeStarted)
            await move(connection, started.uid, AlertState.PROBING, "")
        case subject if subject == VIDEO_PROBED_SUBJECT:
            probed = delivery.decode(videos_pb2.VideoProbed)
            await move(connection, probed.uid, AlertState.PROBED, "")
        case subject if subject == VIDEO_FAILED_SUBJECT:
            failed = delivery.decode(videos_pb2.VideoProbeFailed)
            await move(connection, failed.uid, AlertState.FAILED, failed.failure)
        case subject:
            raise Permanent(f"nobody handles {subject}")
