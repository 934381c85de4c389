"""Deliveries of a consumer, followed: nothing is stepped over, whatever is lost, repeated or given to somebody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.nats.delivery_order import DeliveryOrder, OutOfOrder


def opened() -> DeliveryOrder:
    order = DeliveryOrder()
    order.begin()
    return order


def test_messages_in_order_and_repeats_of_them_pass() -> None:
    order = opened()
    for number, (sequence, attempt) in enumerate([(3, 1), (7, 1), (3, 2), (7, 2), (9, 1), (3, 3)], start=1):
        order.follow(number, sequence, attempt)
    assert order.highest == 9


@pytest.mark.parametrize(
    ("number", "sequence", "attempt"),
    [(2, 7, 1), (0, 7, 1), (1, 7, 2)],
    ids=["one is missing", "of another consumer", "a repeat of what was not delivered"],
)
def test_a_first_delivery_that_is_none_is_out_of_order(number: int, sequence: int, attempt: int) -> None:
    with pytest.raises(OutOfOrder):
        opened().follow(number, sequence, attempt)


def test_a_new_message_behind_the_last_one_is_out_of_order() -> None:
    order = opened()
    order.follow(1, 7, 1)
    with pytest.raises(OutOfOrder):
        order.follow(2, 6, 1)


def test_a_consumer_that_is_made_anew_begins_anew_and_the_highest_place_stays_known() -> None:
    order = opened()
    order.follow(1, 7, 1)
    order.begin()
    order.follow(1, 2, 1)
    assert order.highest == 7


@given(st.data())
def test_whatever_is_lost_on_the_way_nothing_behind_it_passes(data: st.DataObject) -> None:
    """A server that delivers messages (some of them again) to several pulls, of which one is ours."""
    stream = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=20))
    sequences = [sum(stream[: at + 1]) for at in range(len(stream))]
    sent: list[tuple[int, int, int]] = []
    attempts: dict[int, int] = {}
    upcoming = list(sequences)
    while upcoming or data.draw(st.booleans()):
        again = attempts and (not upcoming or data.draw(st.booleans()))
        sequence = data.draw(st.sampled_from(sorted(attempts))) if again else upcoming.pop(0)
        attempts[sequence] = attempts.get(sequence, 0) + 1
        sent.append((len(sent) + 1, sequence, attempts[sequence]))
    arriving = [delivery for delivery in sent if data.draw(st.booleans())]
    order, passed = opened(), set[int]()
    for number, sequence, attempt in arriving:
        try:
            order.follow(number, sequence, attempt)
        except OutOfOrder:
            break
        assert set(sequences[: sequences.index(sequence)]) <= passed
        passed.add(sequence)
