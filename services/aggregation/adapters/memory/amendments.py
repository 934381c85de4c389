"""What people have asked to make of readings, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.aggregation.domain.late.amendments import Amendment, AmendmentKind, AmendmentOutcome, SettledAmendment


@dataclass
class StoredAmendment:
    """`value` None: the reading is to count nowhere. `outcome` None: it waits. `original`: the value that came."""

    series_id: int
    time: int
    value: float | None
    author: str = ""
    reason: str = ""
    created: int = 0
    outcome: AmendmentOutcome | None = None
    original: float = 0.0

    @property
    def shown(self) -> Amendment:
        """As it is listed with the reading."""
        kind = AmendmentKind.VOIDED if self.value is None else AmendmentKind.REPLACED
        return Amendment(kind, self.original, self.author, self.reason, self.created)


def settle_amendments(stored: Mapping[int, StoredAmendment], settled: Sequence[SettledAmendment]) -> None:
    """What has become of them."""
    for id_, outcome, before in settled:
        asked = stored[id_]
        earlier = applied(stored, asked.series_id, asked.time)
        asked.original = earlier[0].original if earlier else before or 0.0
        asked.outcome = outcome


def applied(stored: Mapping[int, StoredAmendment], series_id: int, time: int) -> list[StoredAmendment]:
    """What was made of a reading, one after another."""
    return [
        one
        for _, one in sorted(stored.items())
        if (one.series_id, one.time, one.outcome) == (series_id, time, AmendmentOutcome.APPLIED)
    ]
