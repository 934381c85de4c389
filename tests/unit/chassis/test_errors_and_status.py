from datetime import timedelta

import grpc
import grpc.aio
import pytest

from services.chassis import errors
from services.chassis.grpc import status


def kinds() -> list[type[errors.DomainError]]:
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.DomainError) and not value.__name__.startswith("_")
    ]
    return [kind for kind in found if kind is not errors.DomainError]


def over_the_wire(error: BaseException) -> errors.DomainError:
    made = status.to_status(error, "request-1")
    code = next(code for code in grpc.StatusCode if code.value[0] == made.code)
    trailers = grpc.aio.Metadata((status.DETAILS_KEY, made.SerializeToString()))
    return status.unpack(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, made.message))


def test_every_kind_has_one_code_of_its_own() -> None:
    assert set(status.CODES) == set(kinds())
    assert len(set(status.CODES.values())) == len(status.CODES)


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_survives_the_wire(kind: type[errors.DomainError]) -> None:
    back = over_the_wire(kind(reason="SOME_REASON", metadata={"a": "b"}))
    assert type(back) is kind
    assert (back.reason, back.metadata, back.message) == ("SOME_REASON", {"a": "b"}, errors.default_message(kind))


def test_details_survive_the_wire() -> None:
    violation = errors.FieldViolation("readings[2].value", "must be at least 0", "DOUBLE_GTE")
    back = over_the_wire(errors.InvalidArgument(violations=[violation]))
    assert isinstance(back, errors.InvalidArgument)
    assert back.violations == (violation,)
    assert back.message == "readings[2].value: must be at least 0"
    late = over_the_wire(errors.Unavailable(retry_after=timedelta(milliseconds=1500)))
    assert isinstance(late, errors.Unavailable)
    assert late.retry_after == timedelta(milliseconds=1500)


def test_a_subclass_has_the_code_of_its_kind_and_its_own_words() -> None:
    class ShelfMissing(errors.NotFound):
        """The shelf
        is missing.

        More about it.
        """

        reason = "SHELF_MISSING"

    error = ShelfMissing()
    assert status.code_of(error) is grpc.StatusCode.NOT_FOUND
    assert (error.message, error.reason) == ("The shelf is missing.", "SHELF_MISSING")


@pytest.mark.parametrize("error", [RuntimeError("secret"), errors.DomainError("secret"), KeyError("secret")])
def test_what_has_no_kind_is_internal_without_its_text(error: Exception) -> None:
    made = status.to_status(error)
    assert made.code == grpc.StatusCode.INTERNAL.value[0]
    assert b"secret" not in made.SerializeToString()


def test_details_never_pass_what_a_trailer_can_carry() -> None:
    violations = [errors.FieldViolation("f" * 5000, "ü" * 5000, "R" * 5000) for _ in range(1000)]
    metadata = {f"k{n}" * 1000: "v" * 10_000 for n in range(100)}
    made = status.to_status(errors.InvalidArgument("m" * 10_000, violations=violations, metadata=metadata))
    assert made.ByteSize() < 6000  # 8 KiB of base64


def test_control_characters_do_not_leave() -> None:
    assert "\x00" not in status.to_status(errors.NotFound("a\x00b\nc")).message


def test_a_broken_connection_is_unavailable() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "no route")
    assert isinstance(status.unpack(error), errors.Unavailable)
