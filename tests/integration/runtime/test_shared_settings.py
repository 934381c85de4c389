"""Settings that several parts share: the streams that a mesh prepares follow them."""

import socket
from collections.abc import Callable
from pathlib import Path

from services.chassis.nats import NatsConnection, TopologyOptions, ensure_streams
from services.chassis.nats.topology import READINGS, VIDEOS, readings_subject
from services.cli.client import open_mesh
from services.cli.runtime.instance import running_instance
from services.cli.runtime.lag import read_lag_by_client
from services.cli.runtime.settings import STREAMS
from tests.integration.runtime.conftest import CommandLine


async def test_streams_follow_the_settings_also_after_a_change(command_line: Callable[..., CommandLine]) -> None:
    one = command_line()
    for partitions, size in ((8, 64), (16, 32)):
        one.start(
            TOCSIN_READINGS_PARTITIONS=str(partitions), TOCSIN_NATS_STREAM_BYTES=f"READINGS={size}MiB, VIDEOS=20MiB"
        )
        await one.up(timeout=60)
        async with open_mesh(one.state.root).nats() as connection:
            streams = {each.config.name: each.config for each in await connection.jetstream().streams_info()}
        assert streams[READINGS].subjects == [readings_subject(number) for number in range(partitions)]
        assert (streams[READINGS].max_bytes, streams[VIDEOS].max_bytes) == (size * 1024**2, 20 * 1024**2)
        await one.stop()


async def test_unknown_variables_are_named_and_nonsense_starts_nothing(
    command_line: Callable[..., CommandLine],
) -> None:
    one = command_line()
    one.start(TOCSIN_NATS_PROT="4222", TOCSIN_READINGS_PARTITIONS="none")
    exit_code, _, errors = await one.ended()
    assert exit_code == 2
    assert "TOCSIN_READINGS_PARTITIONS must be from 1 to 1024" in errors
    assert not one.state.root.exists()
    one.start(TOCSIN_NATS_PROT="4222")
    await one.up(timeout=60)
    _, _, errors = await one.stop()
    assert "TOCSIN_NATS_PROT is no setting; did you mean TOCSIN_NATS_PORT?" in errors


async def test_a_service_listens_where_it_is_told_and_knows_its_peers_elsewhere(
    command_line: Callable[..., CommandLine],
) -> None:
    one = command_line("state", "--only", "postgres,nats,media-probe")
    one.start(TOCSIN_MEDIA_PROBE_HOST="127.0.0.2", TOCSIN_PEER_AGGREGATION="aggregation.example:50052")
    part = (await one.up(timeout=60))["media-probe"]
    port = running_instance(one.state).ports["media_probe"]
    assert part["address"] == f"127.0.0.2:{port}"
    socket.create_connection(("127.0.0.2", port), timeout=5).close()
    given = Path(f"/proc/{part['pid']}/environ").read_bytes().split(b"\0")
    assert b"TOCSIN_PEER_AGGREGATION=aggregation.example:50052" in given
    assert f"TOCSIN_PEER_MEDIA_PROBE=127.0.0.2:{port}".encode() in given
    await one.stop()


async def test_status_tells_the_streams_of_an_own_server(nats_connection: NatsConnection) -> None:
    await ensure_streams(nats_connection, TopologyOptions())
    before = {stream.name: stream for stream in await read_lag_by_client(nats_connection.nc, nats_connection.names)}
    await nats_connection.js.publish("tocsin.videos.v1.probed", b"x")
    await nats_connection.js.pull_subscribe("tocsin.videos.v1.probed", durable="reader", stream=VIDEOS)
    after = {stream.name: stream for stream in await read_lag_by_client(nats_connection.nc, nats_connection.names)}
    assert set(after) >= set(STREAMS)
    assert after[VIDEOS].messages == before[VIDEOS].messages + 1
    (reader,) = [consumer for consumer in after[VIDEOS].consumers if consumer.name == "reader"]
    assert reader.pending == after[VIDEOS].messages
