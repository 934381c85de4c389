"""How the kernel gives a thread its time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """What is called here may change the scheduling of this thread; afterwards it is as before.

    The encoder SVT-AV1 makes the thread that calls it a real-time one wherever it may, as for root. All that such a
    thread starts is real-time, too, and two programs that wait in a loop then leave nothing of two cores to others.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
