import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest

from services.chassis import errors
from services.chassis.telemetry import logs
from tests.integration.chassis.conftest import Echo
from tests.support.echo import pb, rpc


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged since, as parsed JSON lines."""
    stream = io.StringIO()
    logs.configure(form="json", level="info", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.configure()


async def invoke(echo: Echo, method: str, request: Any) -> list[Any]:
    """Calls a method of any of the four shapes; its replies."""
    call = getattr(echo.stub, method)

    async def requests() -> AsyncIterator[Any]:
        yield request

    match method:
        case "Echo" | "Open":
            return [await call(request)]
        case "Expand":
            return [reply async for reply in call(request)]
        case "Collect" | "Judge":
            return [await call(requests())]
        case _:
            return [reply async for reply in call(requests())]


SHAPES = ("Echo", "Expand", "Collect", "Chat")


@pytest.mark.parametrize("method", SHAPES)
async def test_all_four_shapes_answer(echo_server: Echo, method: str) -> None:
    replies = await invoke(echo_server, method, pb.EchoRequest(room_name="room"))
    assert [reply.text for reply in replies] == ["room"] * (3 if method == "Expand" else 1)


@pytest.mark.parametrize("method", SHAPES)
async def test_a_domain_error_arrives_with_its_details(echo_server: Echo, method: str) -> None:
    with pytest.raises(errors.FailedPrecondition) as caught:
        await invoke(echo_server, method, pb.EchoRequest(room_name="room", action="locked"))
    assert caught.value.reason == "CUPBOARD_LOCKED"
    assert caught.value.metadata == {"cupboard": "7"}
    assert caught.value.message == "The cupboard is locked."


async def test_a_retry_delay_arrives(echo_server: Echo) -> None:
    with pytest.raises(errors.ResourceExhausted) as caught:
        await invoke(echo_server, "Echo", pb.EchoRequest(room_name="room", action="later"))
    assert caught.value.retry_after == timedelta(seconds=7)


async def test_a_huge_error_is_cut_to_what_a_trailer_can_carry(echo_server: Echo) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        await invoke(echo_server, "Echo", pb.EchoRequest(room_name="room", action="huge"))
    assert len(caught.value.message) == 400
    assert len(caught.value.metadata["k"]) == 128


@pytest.mark.parametrize("method", SHAPES)
async def test_an_unmapped_error_is_internal_and_tells_nothing(
    echo_server: Echo, method: str, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    with pytest.raises(errors.Internal) as caught:
        await invoke(echo_server, method, pb.EchoRequest(room_name="room", action="bug"))
    cause = caught.value.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    assert "hunter2" not in str(cause) + repr(cause.trailing_metadata())
    assert caught.value.message == "The service failed; the failure is logged under the request id."
    unmapped, access = [line for line in log_lines() if line["event"] in ("unmapped error", "call failed")]
    assert unmapped["exception"][0]["exc_type"] == "RuntimeError"
    assert unmapped["request_id"] == access["request_id"]
    assert unmapped["trace_id"] == access["trace_id"]
    assert access["code"] == "INTERNAL"


@pytest.mark.parametrize("method", SHAPES)
async def test_an_invalid_message_is_refused_with_the_field_and_the_rule(echo_server: Echo, method: str) -> None:
    item = pb.Item(item_value=float("nan"), by_name={"a b": -1})
    request = pb.EchoRequest(room_name="no dots.or spaces", sub_items=[pb.Item(), item])
    with pytest.raises(errors.InvalidArgument) as caught:
        await invoke(echo_server, method, request)
    assert caught.value.reason == "INVALID_FIELD"
    assert {(v.field, v.reason) for v in caught.value.violations} == {
        ("roomName", "STRING_RESOURCE_ID"),
        ("subItems[1].itemValue", "DOUBLE_FINITE"),
        ('subItems[1].byName["a b"]', "INT32_GTE"),
    }
    assert all(v.description for v in caught.value.violations)
    if method in ("Echo", "Expand"):
        assert not echo_server.servicer.entered.is_set()


async def test_a_later_message_of_a_stream_is_checked_as_well(echo_server: Echo) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield pb.EchoRequest(room_name="good")
        yield pb.EchoRequest(room_name="*")

    replies = aiter(echo_server.stub.Chat(requests()))
    assert (await anext(replies)).text == "good"
    with pytest.raises(errors.InvalidArgument) as caught:
        await anext(replies)
    assert caught.value.metadata == {"messageIndex": "1"}


async def test_a_method_that_judges_its_items_gets_the_bad_ones(echo_server: Echo) -> None:
    (reply,) = await invoke(echo_server, "Judge", pb.EchoRequest(room_name="a.b"))
    assert reply.text == "a.b"


async def test_a_value_is_never_echoed_at_length(echo_server: Echo) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        await invoke(echo_server, "Echo", pb.EchoRequest(room_name="x" * 1_000_000))
    assert all(len(v.description) <= 400 for v in caught.value.violations)


async def test_many_violations_are_bounded(echo_server: Echo) -> None:
    items = [pb.Item(item_value=float("inf")) for _ in range(1000)]
    with pytest.raises(errors.InvalidArgument) as caught:
        await invoke(echo_server, "Echo", pb.EchoRequest(room_name="r", sub_items=items))
    assert 5 <= len(caught.value.violations) <= 25


async def test_a_message_over_the_limit_is_refused(echo_server: Echo) -> None:
    stub = rpc.EchoServiceStub(echo_server.raw)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Open(pb.EchoRequest(room_name="x" * (5 * 1024 * 1024)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_status_set_by_hand_passes(echo_server: Echo) -> None:
    with pytest.raises(errors.Aborted) as caught:
        await invoke(echo_server, "Echo", pb.EchoRequest(room_name="r", action="abort"))
    assert isinstance(cause := caught.value.__cause__, grpc.aio.AioRpcError)
    assert cause.details() == "aborted by hand"


async def test_without_a_deadline_the_default_one_ends_the_call(echo_server: Echo) -> None:
    stub = rpc.EchoServiceStub(echo_server.raw)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Open(pb.EchoRequest(room_name="r", action="hang"))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "grpc-status-details-bin" in dict(caught.value.trailing_metadata() or ())  # said by the server


async def test_the_callers_deadline_ends_the_call(echo_server: Echo) -> None:
    with pytest.raises(errors.DeadlineExceeded):
        await echo_server.stub.Echo(pb.EchoRequest(room_name="r", action="hang"), timeout=0.1)


async def test_the_request_id_comes_back_in_the_details_and_the_log(
    echo_server: Echo, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    with pytest.raises(errors.FailedPrecondition):
        await echo_server.stub.Echo(
            pb.EchoRequest(room_name="r", action="locked"),
            metadata=(("x-request-id", "abc-1"), ("traceparent", f"00-{'1' * 32}-{'2' * 16}-00")),
        )
    (line,) = [line for line in log_lines() if line["event"] == "call refused"]
    assert (line["request_id"], line["trace_id"], line["reason"]) == ("abc-1", "1" * 32, "CUPBOARD_LOCKED")
