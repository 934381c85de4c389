import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from services.chassis.auth.verifier import Verifier
from services.chassis.grpc import stages
from services.chassis.grpc.pipeline import Call, Handle, Method, compose
from services.chassis.grpc.status import DETAILS_KEY

METHOD = Method("/x.Y/Z", "x.Y", "Z", False, False, None)


class Context:
    """What the pipeline uses of a servicer context."""

    def __init__(self, remaining: float | None = None) -> None:
        self.remaining, self.set_to, self.details, self.trailers = remaining, None, "", ()

    def time_remaining(self) -> float | None:
        return self.remaining

    def code(self) -> Any:
        return self.set_to

    def set_code(self, code: grpc.StatusCode) -> None:
        self.set_to = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, trailers: Any) -> None:
        self.trailers = trailers


class Named:
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    def bind(self, method: Method, proceed: Handle) -> Handle:
        async def note(call: Call) -> Any:
            self.seen.append(self.name)
            try:
                return await proceed(call)
            finally:
                self.seen.append(f"/{self.name}")

        return note


async def served(request: Any, context: Any) -> Any:
    return request


def test_the_order_is_the_documented_one() -> None:
    built = stages.standard(Verifier([]), timedelta(seconds=1))
    assert tuple(stage.name for stage in built) == stages.ORDER
    assert stages.ORDER == (
        "recovery",
        "request_id",
        "trace",
        "deadline",
        "log",
        "metrics",
        "auth",
        "errors",
        "validation",
    )


async def test_the_first_stage_is_the_outermost() -> None:
    seen: list[str] = []
    run = compose(METHOD, served, [Named("a", seen), Named("b", seen)])
    assert await run(Call(METHOD, "request", Context(), {})) == "request"
    assert seen == ["a", "b", "/b", "/a"]


def test_a_plain_function_is_no_servicer_method() -> None:
    def blocking(request: Any, context: Any) -> Any:
        return request

    with pytest.raises(TypeError, match="async"):
        compose(METHOD, blocking, [])


async def test_a_bug_of_a_stage_ends_in_recovery_without_its_text() -> None:
    class Broken:
        name = "broken"

        def bind(self, method: Method, proceed: Handle) -> Handle:
            async def fail(call: Call) -> Any:
                raise ZeroDivisionError("secret")

            return fail

    call = Call(METHOD, "request", context := Context(), {})
    await compose(METHOD, served, [stages.Recovery(), Broken()])(call)
    assert context.set_to is grpc.StatusCode.INTERNAL
    assert "secret" not in context.details
    assert status_pb2.Status.FromString(dict(context.trailers)[DETAILS_KEY]).code == 13


async def test_a_timeout_of_the_servicer_is_not_the_deadline() -> None:
    async def times_out(request: Any, context: Any) -> Any:
        raise TimeoutError("a database did not answer")

    call = Call(METHOD, "request", context := Context(), {})
    await compose(METHOD, times_out, [stages.Deadline(timedelta(seconds=5)), stages.Errors()])(call)
    assert context.set_to is grpc.StatusCode.INTERNAL


async def test_a_cancelled_call_stays_cancelled() -> None:
    entered = asyncio.Event()

    async def hangs(request: Any, context: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    call = Call(METHOD, "request", Context(3.0), {})
    run = compose(METHOD, hangs, [stages.Recovery(), stages.Log(), stages.Metrics(), stages.Errors()])
    task = asyncio.ensure_future(run(call))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.code is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("offered", ["a b", "x" * 65, "", "a\nb", b"bytes"])
async def test_odd_request_ids_are_replaced(offered: Any) -> None:
    call = Call(METHOD, "request", Context(), {"x-request-id": offered})
    await compose(METHOD, served, [stages.RequestId()])(call)
    assert call.request_id != offered
    assert len(call.request_id) == 32
