"""Refuses requests whose bytes are no message, before anybody looks into them."""

from collections.abc import AsyncIterator
from typing import Any

from services.chassis.grpc import validation
from services.chassis.grpc.pipeline import Call, Handle, Malformed, Method


def well_formed(method: Method, proceed: Handle) -> Handle:
    """`proceed`, for requests that are messages; others are refused."""
    if method.request_streams:

        async def watch(call: Call) -> Any:
            call.request = _only_messages(call.request)
            return await proceed(call)

        return watch

    async def look(call: Call) -> Any:
        if isinstance(call.request, Malformed):
            raise validation.RequestInvalid("The request is no well-formed message of the method's type.")
        return await proceed(call)

    return look


async def _only_messages(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        if isinstance(message, Malformed):
            raise validation.RequestInvalid("A message of the stream is not well-formed.")
        yield message
