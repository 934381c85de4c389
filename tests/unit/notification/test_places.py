"""Places of lanes: receivers that hang keep nobody from theirs."""

from services.notification.application.places import SLOW_AFTER, LanePlaces, Room, Tally
from services.notification.domain.lane import Lane


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def fill(places: LanePlaces, receivers: list[str]) -> list[int]:
    """Begins as many attempts as there is room for, in order."""
    tally = Tally(places.room(1000))
    return [places.begin(receiver) for receiver in receivers if tally.take(receiver)]


def test_a_lane_to_one_server_has_no_shares() -> None:
    places = LanePlaces(Lane.EMAIL, 8)
    assert len(fill(places, [""] * 20)) == 8
    assert places.free() == 0


def test_a_receiver_has_one_place_until_it_has_answered_and_then_its_share() -> None:
    places = LanePlaces(Lane.WEBHOOK, 16)
    [first] = fill(places, ["a"] * 20)
    assert fill(places, ["a"]) == []
    places.end(first, answered=True)
    begun = fill(places, ["a"] * 20)
    assert len(begun) == 4
    for one in begun:
        places.end(one, answered=False)
    assert len(fill(places, ["a"] * 20)) == 1, "it said nothing"


def test_receivers_that_are_not_known_to_answer_have_a_quarter_together() -> None:
    places = LanePlaces(Lane.EVENT, 16)
    assert len(fill(places, [f"hangs-{n}" for n in range(200)])) == 4
    assert places.room(16).held_back
    assert fill(places, ["good"]) == [], "nobody knows it"
    # A good one is proven, and then none of them is in its way.
    name = places.begin("good")
    places.end(name, answered=True)
    assert len(fill(places, [*(f"other-{n}" for n in range(200)), *["good"] * 9])) == 4


def test_attempts_that_hang_give_their_places_back_but_not_for_ever() -> None:
    clock = Clock()
    places = LanePlaces(Lane.EVENT, 4, clock)
    for n in range(4):
        places.end(places.begin(f"r{n}"), answered=True)
    waves: list[int] = []
    for _ in range(7):
        waves.append(len([places.begin(f"r{n}") for n in range(4) if places.free() > 0]))
        clock.time += SLOW_AFTER
        places.free()
    assert waves == [4, 4, 4, 4, 4, 0, 0], "four times the places hang, and then the places themselves"


def test_who_becomes_slow_is_not_known_to_answer_any_more() -> None:
    clock = Clock()
    places = LanePlaces(Lane.WEBHOOK, 16, clock)
    places.end(places.begin("a"), answered=True)
    hanging = fill(places, ["a"] * 4)
    assert len(hanging) == 4
    clock.time += SLOW_AFTER
    assert places.free() == 16
    assert fill(places, ["a"]) == []
    places.end(hanging[0], answered=True)
    assert len(fill(places, ["a"] * 4)) == 1, "four places, of which three hang"


def test_what_was_broken_off_proves_nothing() -> None:
    places = LanePlaces(Lane.WEBHOOK, 16)
    places.end(places.begin("a"), answered=True)
    places.end(places.begin("a"))
    assert len(fill(places, ["a"] * 9)) == 4


def test_a_tally_counts_within_a_room() -> None:
    room = Room(lane=Lane.EVENT, places=5, unproven=1, known={"good": (3, True), "full": (0, True)})
    tally = Tally(room)
    wanted = ["full", "new", "good", "new", "other", "good", "good", "good"]
    assert [tally.take(receiver) for receiver in wanted] == [False, True, True, False, False, True, True, False]
