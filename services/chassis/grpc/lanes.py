"""The service's side of `tocsin.calls.v1.LaneService`: unary calls that come many to a message over one stream.

gRPC for Python spends more on a call of its own than most calls spend on their work: a dozen operations of its core,
and threads that wake each other. A carried call passes the same stages and the same servicer in a task of its own: it
is authorised, measured, logged, bound by its deadline and cancelled for itself, and answered when it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextvars import Context, copy_context
from typing import Any, Final

import grpc

from services.chassis.grpc.carried import Carried
from services.chassis.grpc.pipeline import Bound
from services.chassis.tasks import cancel
from tocsin.calls.v1 import lane_service_pb2 as pb
from tocsin.calls.v1.lane_service_pb2_grpc import LaneServiceServicer

ENVELOPE: Final = 64 * 1024
"""Bytes that a message with one answer may have beside the response in it."""
_BATCH: Final = 1024 * 1024


class Lanes(LaneServiceServicer):
    """See lane_service.proto. `methods` are what may be carried, by path. All lanes of the process together have up to
    `max_calls` under way; what comes beyond is RESOURCE_EXHAUSTED, as with calls of their own. So are answers of more
    than `max_message` bytes. When `stopping` is set, the other side is asked for no more calls."""

    def __init__(
        self, methods: Mapping[str, Bound], *, max_calls: int, max_message: int, stopping: asyncio.Event
    ) -> None:
        self._methods, self._max_calls, self._max_message = methods, max_calls, max_message
        self._stopping = stopping
        self._outside = copy_context()
        self._under_way = 0

    async def Carry(
        self, request_iterator: AsyncIterator[pb.CarryRequest], context: Any
    ) -> AsyncIterator[pb.CarryResponse]:
        lane = _Lane(self)
        reading = asyncio.create_task(lane.read(request_iterator), name="calls of a lane")
        closing = asyncio.create_task(lane.close_after(self._stopping), name="closing of a lane")
        try:
            async for response in lane.responses():
                yield response
            await reading  # raises what ended it
        finally:
            await cancel(reading, closing)
            lane.cancel_all()

    def find(self, path: str) -> Bound | grpc.StatusCode:
        """The method of a call that may begin; otherwise what the call ends with."""
        if (bound := self._methods.get(path)) is None:
            return grpc.StatusCode.UNIMPLEMENTED
        return bound if self._under_way < self._max_calls else grpc.StatusCode.RESOURCE_EXHAUSTED

    def start(self, one: Carried) -> "asyncio.Task[bytes | None]":
        """Sets a call under way, in a context of its own: nothing of the lane's own call is in it."""
        self._under_way += 1
        context: Context = self._outside.copy()
        return asyncio.get_running_loop().create_task(one.run(self._max_message), context=context)

    def finished(self) -> None:
        """A call that was started has ended."""
        self._under_way -= 1


class _Lane:
    """One stream."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._calls: dict[int, asyncio.Task[bytes | None]] = {}
        self._answers: list[pb.CarriedAnswer] = []
        self._ready = asyncio.Event()
        self._closing = self._ending = False

    async def read(self, requests: AsyncIterator[pb.CarryRequest]) -> None:
        """Begins what comes, until no more does; then the last answer ends the stream."""
        try:
            async for request in requests:
                for call in request.calls:
                    self._begin(call)
                for number in request.cancelled:
                    if task := self._calls.get(number):
                        task.cancel()
        finally:
            self._ending = True
            self._ready.set()

    def _begin(self, call: pb.CarriedCall) -> None:
        found = self._lanes.find(call.method)
        if isinstance(found, grpc.StatusCode):
            text = "Method not found!" if found is grpc.StatusCode.UNIMPLEMENTED else "Concurrent RPC limit exceeded!"
            self._put(pb.CarriedAnswer(id=call.id, code=found.value[0], message=text))
            return
        one = Carried(call, found)
        task = self._calls[call.id] = self._lanes.start(one)
        one.bind(task)
        # Not at the end of the coroutine: one that is cancelled before it begins never gets there.
        task.add_done_callback(lambda done: self._finish(one, done))

    def cancel_all(self) -> None:
        for task in self._calls.values():
            task.cancel()

    def _finish(self, one: Carried, task: "asyncio.Task[bytes | None]") -> None:
        self._lanes.finished()
        self._calls.pop(one.number, None)
        self._put(one.answer(task))

    def _put(self, answer: pb.CarriedAnswer) -> None:
        self._answers.append(answer)
        self._ready.set()

    async def close_after(self, stopping: asyncio.Event) -> None:
        """Asks for no more calls when the service stops."""
        await stopping.wait()
        self._closing = True
        self._ready.set()

    async def responses(self) -> AsyncIterator[pb.CarryResponse]:
        """What is ready, for as long as something is to come. What gathers during a write goes with the next."""
        while not self._ending or self._calls or self._answers:
            await self._ready.wait()
            self._ready.clear()
            while self._answers or self._closing:
                batch, self._answers = _split(self._answers)
                closing, self._closing = self._closing, False
                yield pb.CarryResponse(answers=batch, closing=closing)


def _split(answers: list[pb.CarriedAnswer]) -> tuple[list[pb.CarriedAnswer], list[pb.CarriedAnswer]]:
    """The first of the answers that fit a message, at least one if there is any, and the rest."""
    size = 0
    for count, answer in enumerate(answers):
        size += answer.ByteSize()  # a refusal's details are no small thing, either
        if count and size > _BATCH:
            return answers[:count], answers[count:]
    return answers, []
