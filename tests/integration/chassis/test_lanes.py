"""Carried calls: each is treated as a call of its own, whatever becomes of those beside it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import REGISTRY

from services.chassis.auth.dev_issuer import AUDIENCE, ISSUER, DevIssuer
from services.chassis.auth.keys import KeyFile
from services.chassis.auth.verifier import Issuer, Verifier
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.grpc.server import Server, ServerOptions
from services.chassis.grpc.stages import standard
from services.chassis.grpc.status import DETAILS_KEY
from tests.integration.chassis.conftest import Echo
from tests.support import echo
from tests.support.eventually import eventually
from tocsin.calls.v1 import lane_service_pb2 as pb
from tocsin.calls.v1.lane_service_pb2_grpc import LaneServiceStub

ECHO = f"/{echo.SERVICE}/Echo"
EOF: Any = cast(Any, grpc.aio).EOF  # the type stubs do not know it
CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass
class Lane:
    """The calling side of a lane."""

    stream: Any
    token: str
    closing: bool = False
    answers: dict[int, pb.CarriedAnswer] = field(default_factory=dict[int, pb.CarriedAnswer])
    order: list[int] = field(default_factory=list[int])

    def call(self, number: int, action: str = "", *, room: str = "", token: str | None = None, **more: Any) -> Any:
        """A call; `token` "" sends none."""
        token = self.token if token is None else token
        metadata = [pb.Metadatum(key="x-request-id", value=f"call-{number}".encode())]
        if token:
            metadata.append(pb.Metadatum(key="authorization", value=f"Bearer {token}".encode()))
        request = echo.pb.EchoRequest(room_name=room or f"room-{number}", action=action).SerializeToString()
        fields: dict[str, Any] = {"method": ECHO, "request": request, **more}
        return pb.CarriedCall(id=number, metadata=metadata, **fields)

    async def send(self, *calls: pb.CarriedCall, cancelled: tuple[int, ...] = ()) -> None:
        await self.stream.write(pb.CarryRequest(calls=calls, cancelled=cancelled))

    async def until(self, *numbers: int) -> None:
        """Reads until the calls are answered."""
        async with asyncio.timeout(10):
            while not {*numbers} <= self.answers.keys():
                response = await self.stream.read()
                assert response is not EOF
                self.take(response)

    def take(self, response: pb.CarryResponse) -> None:
        self.closing = self.closing or response.closing
        for answer in response.answers:
            assert answer.id not in self.answers
            self.answers[answer.id] = answer
            self.order.append(answer.id)

    def code(self, number: int) -> grpc.StatusCode:
        return CODES[self.answers[number].code]

    def text(self, number: int) -> str:
        assert self.answers[number].code == 0, self.answers[number]
        return echo.pb.EchoReply.FromString(self.answers[number].response).text

    def details(self, number: int) -> list[Any]:
        """The error's details, unpacked."""
        raw = next(entry.value for entry in self.answers[number].trailers if entry.key == DETAILS_KEY)
        status = status_pb2.Status.FromString(raw)
        assert status.code == self.answers[number].code
        return [_unpacked(detail) for detail in status.details]


def _unpacked(detail: AnyMessage) -> Any:
    name = detail.TypeName().rpartition(".")[2]
    message = getattr(error_details_pb2, name)()
    assert detail.Unpack(message)
    return message


def open_lane(channel: grpc.aio.Channel, token: str) -> Lane:
    return Lane(cast(Any, LaneServiceStub(channel)).Carry(), token)


def in_flight(service: str) -> float:
    return REGISTRY.get_sample_value("tocsin_grpc_server_in_flight", {"service": service}) or 0.0


@asynccontextmanager
async def small_server(
    issuer: DevIssuer, servicer: echo.EchoServicer | None = None, **options: Any
) -> AsyncGenerator[tuple[Server, grpc.aio.Channel]]:
    """A server with another servicer or other options than usual."""
    verifier = Verifier([Issuer(ISSUER, AUDIENCE, KeyFile(issuer.jwks_file))])
    server = Server(ServerOptions(**options), standard(verifier, timedelta(seconds=20)))
    echo.rpc.add_EchoServiceServicer_to_server(servicer or echo.EchoServicer(), server)
    port = await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield server, channel
    finally:
        await server.stop(timedelta(0))


async def test_each_call_gets_its_own_answer_and_a_slow_one_holds_nobody_up(echo_server: Echo) -> None:
    lane = open_lane(echo_server.raw, echo_server.issuer.mint())
    await lane.send(lane.call(1, "wait", timeout_us=20_000_000), *[lane.call(number) for number in range(2, 50)])
    await lane.until(*range(2, 50))
    assert 1 not in lane.answers
    echo_server.servicer.release.set()
    await lane.until(1)
    assert [lane.text(number) for number in range(1, 50)] == [f"room-{number}" for number in range(1, 50)]
    await lane.stream.done_writing()
    assert await lane.stream.read() is EOF
    assert await lane.stream.code() is grpc.StatusCode.OK


async def test_one_bad_call_harms_nobody(echo_server: Echo) -> None:
    mint = echo_server.issuer.mint
    lane = open_lane(echo_server.raw, mint())
    await lane.send(
        lane.call(1),
        lane.call(2, token=""),
        lane.call(3, token=mint(["readings:write"])),
        lane.call(4, room="no such room"),
        lane.call(5, "bug"),
        lane.call(6, "abort"),
        lane.call(7, "locked"),
        lane.call(8, request=b"\xff\xff\xff"),
        lane.call(9, method=f"/{echo.SERVICE}/Nothing"),
        lane.call(10, method=f"/{echo.SERVICE}/Chat"),
        lane.call(11, method="/tocsin.calls.v1.LaneService/Carry"),
        lane.call(12, method=f"/{echo.SERVICE}/Undeclared"),
        lane.call(13),
    )
    await lane.until(*range(1, 14))
    code = grpc.StatusCode
    assert [lane.code(number) for number in range(1, 14)] == [
        code.OK,
        code.UNAUTHENTICATED,
        code.PERMISSION_DENIED,
        code.INVALID_ARGUMENT,
        code.INTERNAL,
        code.ABORTED,
        code.FAILED_PRECONDITION,
        code.INVALID_ARGUMENT,
        code.UNIMPLEMENTED,
        code.UNIMPLEMENTED,
        code.UNIMPLEMENTED,
        code.PERMISSION_DENIED,
        code.OK,
    ]
    assert "hunter2" not in str(lane.answers[5])
    assert lane.answers[6].message == "aborted by hand"
    info, request = lane.details(7)
    assert (info.reason, info.metadata["cupboard"], request.request_id) == ("CUPBOARD_LOCKED", "7", "call-7")
    _, _, bad = lane.details(4)
    assert [violation.field for violation in bad.field_violations] == ["roomName"]


async def test_every_call_is_made_by_its_own_caller(echo_server: Echo) -> None:
    mint = echo_server.issuer.mint
    lane = open_lane(echo_server.raw, "")
    await lane.send(
        lane.call(1, "who", token=mint(subject="ann")),
        lane.call(2, "who", token=mint(subject="bob")),
        lane.call(3, "who", method=f"/{echo.SERVICE}/Open"),
    )
    await lane.until(1, 2, 3)
    assert (lane.text(1), lane.text(2)) == ("ann", "bob")
    assert lane.code(3) is grpc.StatusCode.UNAUTHENTICATED


async def test_deadlines_are_each_call_s_own(echo_server: Echo) -> None:
    lane = open_lane(echo_server.raw, echo_server.issuer.mint())
    await lane.send(
        lane.call(1, "hang", timeout_us=30_000),
        lane.call(2, "hang"),  # by the server's default
        lane.call(3, "wait", timeout_us=20_000_000),
    )
    await lane.until(1, 2)
    assert lane.code(1) is lane.code(2) is grpc.StatusCode.DEADLINE_EXCEEDED
    echo_server.servicer.release.set()
    await lane.until(3)
    assert lane.order == [1, 2, 3]


async def test_who_leaves_is_cancelled_alone(echo_server: Echo) -> None:
    lane = open_lane(echo_server.raw, echo_server.issuer.mint())
    await lane.send(lane.call(1, "hang", timeout_us=20_000_000), lane.call(2, "wait", timeout_us=20_000_000))
    await eventually(lambda: in_flight(echo.SERVICE) == 2)
    # One that is cancelled before it begins is answered, too.
    await lane.send(lane.call(3), cancelled=(1, 3, 99))
    await lane.until(1, 3)
    assert lane.code(1) is lane.code(3) is grpc.StatusCode.CANCELLED
    echo_server.servicer.release.set()
    await lane.until(2)
    assert lane.text(2) == "room-2"


async def test_calls_of_a_lane_that_breaks_are_cancelled(echo_server: Echo) -> None:
    before = in_flight(echo.SERVICE)
    lane = open_lane(echo_server.raw, echo_server.issuer.mint())
    await lane.send(*[lane.call(number, "hang", timeout_us=60_000_000) for number in range(1, 6)])
    await eventually(lambda: in_flight(echo.SERVICE) == before + 5)
    lane.stream.cancel()
    await eventually(lambda: in_flight(echo.SERVICE) == before)


async def test_calls_beyond_the_limit_are_refused(issuer: DevIssuer) -> None:
    async with small_server(issuer, max_calls=2) as (_, channel):
        lane = open_lane(channel, issuer.mint())
        await lane.send(*[lane.call(number, "hang", timeout_us=20_000_000) for number in (1, 2)], lane.call(3))
        await lane.until(3)
        assert lane.code(3) is grpc.StatusCode.RESOURCE_EXHAUSTED
        await lane.send(cancelled=(1,))
        await lane.until(1)
        await lane.send(lane.call(4))
        await lane.until(4)
        assert lane.text(4) == "room-4"


async def test_a_server_that_stops_answers_what_is_under_way(issuer: DevIssuer) -> None:
    async with small_server(issuer) as (server, channel):
        lane = open_lane(channel, issuer.mint())
        await lane.send(lane.call(1, "hang", timeout_us=300_000), lane.call(3))
        await lane.until(3)  # both have arrived
        stopping = asyncio.create_task(server.stop(timedelta(seconds=10)))
        while not lane.closing:
            lane.take(await lane.stream.read())
        await lane.send(lane.call(2))  # was on its way
        await lane.until(1, 2)
        await lane.stream.done_writing()
        assert await lane.stream.read() is EOF
        await stopping
        assert (lane.code(1), lane.text(2)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "room-2")


class Large(echo.EchoServicer):
    """Answers with as many kibibytes as the name of the room says."""

    async def Echo(self, request: Any, context: Any) -> Any:
        return echo.pb.EchoReply(text="x" * 1024 * int(request.room_name))


async def test_large_answers_take_messages_of_their_own(issuer: DevIssuer) -> None:
    async with small_server(issuer, Large()) as (_, channel):
        lane = open_lane(channel, issuer.mint())
        await lane.send(*[lane.call(number, room="900") for number in range(1, 8)])
        await lane.until(*range(1, 8))
        assert {len(lane.text(number)) for number in range(1, 8)} == {900 * 1024}


async def test_answers_have_the_limit_of_those_of_calls_of_their_own(issuer: DevIssuer) -> None:
    async with small_server(issuer, Large(), max_message=10 * 1024) as (_, channel):
        lane = open_lane(channel, issuer.mint())
        await lane.send(lane.call(1, room="10"), lane.call(2, room="9"))
        await lane.until(1, 2)
        assert lane.code(1) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(lane.text(2)) == 9 * 1024


class Talkative(echo.EchoServicer):
    """Refuses with as many words as an error may have."""

    async def Echo(self, request: Any, context: Any) -> Any:
        raise InvalidArgument("no", violations=[FieldViolation("room", "x" * 500, "NO")] * 10)


async def test_many_long_refusals_take_messages_of_their_own(issuer: DevIssuer) -> None:
    async with small_server(issuer, Talkative(), max_message=1024 * 1024) as (_, channel):
        lane = open_lane(channel, issuer.mint())
        await lane.send(*[lane.call(number) for number in range(1, 500)])
        await lane.until(*range(1, 500))
        assert {lane.code(number) for number in range(1, 500)} == {grpc.StatusCode.INVALID_ARGUMENT}
