"""Whether what a consumer delivers is the stream, message by message, with nothing left out.

A durable consumer delivers a message again when it was not acknowledged in time, and then *after* later ones; what was
on its way to a pull that is gone is lost until then. Whoever keeps a position in the stream must not step over such a
message. The server numbers its deliveries (1, 2, 3 ... since the consumer was made, repeats among them): as long as we
have got every number, in order, and only repeats of what we have had, we have got every message, in order.
"""


class OutOfOrder(Exception):
    """Deliveries are missing, or came in another order: the consumer must be made anew."""


class DeliveryOrder:
    """Follows the deliveries of one consumer from its first on."""

    def __init__(self) -> None:
        self._number = 0
        self._reached = 0
        self.highest = 0
        """The highest place in the stream that was delivered."""

    def begin(self) -> None:
        """The consumer was made anew. What was delivered before counts for `highest` only."""
        self._number = 0
        self._reached = 0

    def follow(self, number: int, sequence: int, attempt: int) -> None:
        """One delivery: its number, the place of its message in the stream, and how often that was delivered. Raises
        OutOfOrder."""
        missing = number != self._number + 1
        # A repeat of what this consumer has brought before is harmless; one of what it has not would be the first
        # sign of a message that somebody else has got.
        strange = sequence > self._reached if attempt > 1 else sequence <= self._reached
        if missing or strange:
            raise OutOfOrder(f"delivery {number} (message {sequence}) came after delivery {self._number}")
        self._number = number
        self._reached = max(self._reached, sequence)
        self.highest = max(self.highest, sequence)
