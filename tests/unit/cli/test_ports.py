"""Choosing ports: configured, remembered, free; and telling who holds a taken one."""

import os
import socket
from collections.abc import Iterator

import pytest

from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.ports import LOOPBACK, PortAssignment, PortRequest, is_free, port_holder
from services.cli.runtime.ports import assign_ports as assign_and_hold


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


_held: list[PortAssignment] = []


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    while _held:
        _held.pop().release()


def assign_ports(requests: list[PortRequest], remembered: dict[str, int]) -> dict[str, int]:
    _held.append(assign_and_hold(requests, remembered))
    return _held[-1].ports


def _request(name: str, configured: int | None = None) -> PortRequest:
    return PortRequest(name, f"the {name}", f"TOCSIN_{name.upper()}_PORT", configured=configured)


def test_automatic_ports_are_free_distinct_and_remembered() -> None:
    requests = [_request("edge"), _request("nats"), _request("postgres")]
    first = assign_ports(requests, {})
    assert len(set(first.values())) == 3
    assert all(is_free(LOOPBACK, port) for port in first.values())
    _held.pop().release()
    assert assign_ports(requests, first) == first


def test_a_remembered_port_that_is_taken_is_chosen_anew(taken: int) -> None:
    assigned = assign_ports([_request("nats")], {"nats": taken})
    assert assigned["nats"] != taken


def test_a_configured_port_that_is_taken_is_told_by_part_number_variable_and_holder(taken: int) -> None:
    with pytest.raises(ConfigurationProblem) as caught:
        assign_ports([_request("edge", taken)], {})
    assert caught.value.exit_code == 2
    message = caught.value.message
    assert "the edge" in message
    assert str(taken) in message
    assert "TOCSIN_EDGE_PORT" in message
    assert f"(process {os.getpid()})" in message


def test_one_port_for_two_parts_is_refused() -> None:
    port = assign_ports([_request("edge")], {})["edge"]
    with pytest.raises(ConfigurationProblem, match="TOCSIN_EDGE_PORT and TOCSIN_NATS_PORT"):
        assign_ports([_request("edge", port), _request("nats", port)], {})


def test_a_configured_port_wins_over_another_parts_remembered_one() -> None:
    port = assign_ports([_request("edge")], {})["edge"]
    assigned = assign_ports([_request("nats"), _request("edge", port)], {"nats": port})
    assert assigned["edge"] == port
    assert assigned["nats"] != port


def test_nobody_holds_a_free_port() -> None:
    assert port_holder(assign_ports([_request("edge")], {})["edge"]) is None


def test_a_chosen_port_can_be_listened_on_but_not_chosen_by_another_mesh() -> None:
    port = assign_ports([_request("nats")], {})["nats"]
    other = PortAssignment()
    _held.append(other)
    assert not other.hold(LOOPBACK, port)
    with socket.create_server((LOOPBACK, port), reuse_port=True):
        assert port_holder(port) is not None
