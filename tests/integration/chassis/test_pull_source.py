"""The watchdog of a pull source: the ways to fall silent that a reconnect does not announce."""

from datetime import timedelta

from google.protobuf.wrappers_pb2 import StringValue
from nats.js.api import AckPolicy, ConsumerConfig
from prometheus_client import REGISTRY

from services.chassis.nats import NatsConnection, Publisher
from services.chassis.nats.pull_source import PullSource
from services.chassis.nats.topology import ALERTS
from tests.support.eventually import eventually
from tests.support.messaging import event

CONFIG = ConsumerConfig(durable_name="watched", ack_policy=AckPolicy.EXPLICIT, ack_wait=30)


async def next_value(source: PullSource) -> str:
    messages = await source.next(1, timedelta(milliseconds=100))
    return StringValue.FromString(messages[0].data).value if messages else ""


def renewals(cause: str) -> float:
    labels = {"consumer": "tests/watched", "cause": cause}
    return REGISTRY.get_sample_value("tocsin_consumer_resubscribed_total", labels) or 0.0


async def test_heartbeats_that_stay_away_renew_the_subscription(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    source = PullSource(
        nats_connection,
        ALERTS,
        CONFIG,
        label="tests/watched",
        heartbeat=timedelta(milliseconds=100),
        expires=timedelta(seconds=30),
    )
    await source.open()
    assert await next_value(source) == ""
    before = renewals("silence")
    # The server loses our interest without telling us.
    inbox = source._subscription
    assert inbox is not None
    await inbox.unsubscribe()
    await publisher.publish(event("x"))
    assert await eventually(lambda: next_value(source)) == "x"
    assert renewals("silence") == before + 1
    await source.close()


async def test_a_quiet_stream_is_not_taken_for_silence(nats_connection: NatsConnection, publisher: Publisher) -> None:
    source = PullSource(
        nats_connection,
        ALERTS,
        CONFIG,
        label="tests/watched",
        heartbeat=timedelta(milliseconds=500),
        expires=timedelta(seconds=1),
    )
    await source.open()
    causes = ("silence", "stalled", "reconnect", "deleted")
    before = [renewals(cause) for cause in causes]
    # Longer than three heartbeats and two requests.
    for _ in range(25):
        assert await next_value(source) == ""
    await publisher.publish(event("x"))
    assert await eventually(lambda: next_value(source)) == "x"
    assert [renewals(cause) for cause in causes] == before
    await source.close()


async def test_what_arrived_but_was_not_taken_is_returned_at_the_close(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    source = PullSource(nats_connection, ALERTS, CONFIG, label="tests/watched")
    await source.open()
    await publisher.publish_many([event(str(n)) for n in range(10)])
    taken = await source.next(10, timedelta(seconds=5))
    left = await source.close()
    assert sorted(int(StringValue.FromString(m.data).value) for m in (*taken, *left)) == list(
        range(len(taken) + len(left))
    )
    assert taken


async def test_a_consumer_that_was_deleted_while_nobody_listened_is_made_again(
    nats_connection: NatsConnection, publisher: Publisher
) -> None:
    source = PullSource(nats_connection, ALERTS, CONFIG, label="tests/watched")
    await source.open()
    before = renewals("missing")
    # No request is open: nobody is told.
    await nats_connection.js.delete_consumer(ALERTS, "watched")
    await publisher.publish(event("x"))
    assert await eventually(lambda: next_value(source)) == "x"
    assert renewals("missing") == before + 1
    await source.close()
