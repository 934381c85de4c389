"""How the C library gives memory to a service."""

import subprocess
import sys

import pytest

# Eight threads at a time need 16 MiB each, in pieces that no mapping of their own is made for. Prints how many mappings
# begin where only heaps of further pools do, at multiples of 64 MiB.
_THREADS = """
import threading
from services.chassis.allocator import one_arena

{call}
together = threading.Barrier(8)

def work():
    kept = [bytearray(40_000) for _ in range(400)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(int(line.split("-")[0], 16) % (64 << 20) == 0 for line in open("/proc/self/maps")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
@pytest.mark.parametrize(("call", "heaps"), [("", True), ("one_arena()", False)])
def test_threads_have_one_pool(call: str, *, heaps: bool) -> None:
    code = _THREADS.format(call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 0) == heaps
