"""Tells ingestion which probes there were of a video."""

from services.chassis.grpc.timestamps import timestamp
from services.chassis.nats import NatsConnection
from services.chassis.nats.answers import Answers
from services.chassis.nats.topology import VIDEO_ATTEMPTS_SUBJECT
from services.media_probe.application.ports import VideoStore
from tocsin.calls.v1.alert_history_pb2 import ListAttemptsRequest, ListAttemptsResponse


def attempt_answers(connection: NatsConnection, store: VideoStore) -> Answers:
    """Answers while they are started."""

    async def answer(data: bytes) -> bytes:
        video = await store.get(ListAttemptsRequest.FromString(data).uid)
        return ListAttemptsResponse(
            attempts=[
                ListAttemptsResponse.Attempt(
                    number=attempt.number,
                    failure=attempt.failure.value if attempt.failure else "",
                    message=attempt.message,
                    end_time=timestamp(attempt.ended),
                    event_id=attempt.event,
                )
                for attempt in (video.history if video is not None else ())
            ]
        ).SerializeToString()

    return Answers(connection, VIDEO_ATTEMPTS_SUBJECT, "media_probe/attempts", answer)
