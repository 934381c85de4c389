"""VideoService: messages to queries and back."""

from typing import Any

from google.protobuf.duration_pb2 import Duration

from services.chassis.grpc.timestamps import time_of, timestamp
from services.media_probe.application.videos import ListQuery, Videos
from services.media_probe.domain.video import Attempt, State, Video, VideoFilter
from tocsin.media_probe.v1 import video_service_pb2 as pb
from tocsin.media_probe.v1 import video_service_pb2_grpc as rpc


class VideoServicer(rpc.VideoServiceServicer):
    """The servicer; errors are the use cases'."""

    def __init__(self, videos: Videos) -> None:
        self._videos = videos

    async def GetVideo(self, request: pb.GetVideoRequest, context: Any) -> pb.Video:
        """See the contract."""
        return to_message(await self._videos.get(request.uid))

    async def ListVideos(self, request: pb.ListVideosRequest, context: Any) -> pb.ListVideosResponse:
        """See the contract."""
        state = State(pb.Video.State.Name(request.state)) if request.state else None
        since, until = (at.timestamp() if (at := time_of(request, name)) else None for name in ("from", "to"))
        wanted = VideoFilter(request.store, state, since, until)
        page = await self._videos.list(ListQuery(request.page_size, request.page_token, wanted))
        return pb.ListVideosResponse(
            videos=[to_message(video) for video in page.items], next_page_token=page.next_token
        )

    async def ProbeVideo(self, request: pb.ProbeVideoRequest, context: Any) -> pb.Video:
        """See the contract."""
        return to_message(await self._videos.probe(request.video))

    async def RetryVideo(self, request: pb.RetryVideoRequest, context: Any) -> pb.Video:
        """See the contract."""
        return to_message(await self._videos.retry(request.uid))


def to_message(video: Video) -> pb.Video:
    """The video as the contract shows it."""
    message = pb.Video(
        uid=video.uid,
        store=video.store,
        timestamp=video.timestamp,
        video=video.video,
        state=video.state.value,
        bytes_fetched=video.effort.bytes_fetched,
        requests=video.effort.requests,
        attempts=video.attempts,
        failure=video.failure.value if video.failure else None,
        message=video.message,
        version=video.version,
        history=map(_attempt, video.history),
    )
    took = Duration()
    took.FromTimedelta(video.effort.took)
    message.probe_duration.CopyFrom(took)
    if (changed := timestamp(video.update_time)) is not None:
        message.update_time.CopyFrom(changed)
    facts = video.facts
    if facts is not None:
        message.width, message.height = facts.width, facts.height
        message.coded_width, message.coded_height = facts.coded_width, facts.coded_height
        message.rotation, message.frame_rate = facts.rotation, facts.frame_rate
        message.codec, message.container = facts.codec, facts.container
        if facts.duration is not None:
            duration = Duration()
            duration.FromTimedelta(facts.duration)
            message.duration.CopyFrom(duration)
    return message


def _attempt(attempt: Attempt) -> pb.Video.Attempt:
    took = Duration()
    took.FromTimedelta(attempt.took)
    return pb.Video.Attempt(
        number=attempt.number,
        failure=attempt.failure.value if attempt.failure else None,
        message=attempt.message,
        end_time=timestamp(attempt.ended),
        probe_duration=took,
        event_id=attempt.event,
    )
