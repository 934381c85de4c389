"""How replicas share the partitions."""

from typing import NamedTuple


class Share(NamedTuple):
    """What a replica does next: how many partitions to take, how many to give back."""

    take: int
    give: int


def fair_share(*, partitions: int, replicas: int, held: int, free: int) -> Share:
    """Everybody holds the quotient, and as many as the remainder says one more. Who has more than the larger number
    gives back; who has less takes what is free, up to the larger number only where somebody else's share does not
    suffer."""
    replicas = max(replicas, 1)
    minimum, maximum = partitions // replicas, -(-partitions // replicas)
    if held > maximum:
        return Share(0, held - maximum)
    if held < minimum:
        return Share(min(minimum - held, free), 0)
    # At the quotient: the rest is for whoever comes first, one each.
    return Share(min(maximum - held, free), 0)
