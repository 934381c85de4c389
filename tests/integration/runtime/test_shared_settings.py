"""Settings that several parts share: the streams that a mesh prepares follow them."""

from collections.abc import Callable

from services.chassis.nats.topology import READINGS, VIDEOS, readings_subject
from services.cli.client import open_mesh
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
