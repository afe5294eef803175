"""What the C library does with freed memory: counted by the pages that the system had to bring again."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another C library")

BLOCKS = """
    import resource, sys
    import numpy as np
    from frenemy import heap

    print(heap.keep() if "keep" in sys.argv else None)
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            np.empty(40 << 20, dtype=np.uint8)[:] = 1
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    faults()
    print(faults())
"""


def run(program: str, *words: str, **environment: str) -> list[str]:
    """What a program prints, in an environment that says nothing of allocation but what is given."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *words],
        env={**ours, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_kept_memory_is_not_brought_again() -> None:
    said, kept = run(BLOCKS, "keep")
    if said == "False":
        pytest.skip("another C library")
    _, given_back = run(BLOCKS)
    pages = 20 * (40 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert int(kept) < pages / 1000
    assert int(given_back) > 10 * int(kept) + 20  # huge pages may make them few


def test_who_says_how_to_allocate_is_heeded() -> None:
    assert run(BLOCKS, "keep", MALLOC_ARENA_MAX="2")[0] == "False"


def test_a_thread_has_room_for_more_than_its_own_heap() -> None:
    program = """
        import threading
        import numpy as np
        from frenemy import heap

        heap.keep()
        sums = []
        def work():
            sums.append(int(np.ones(200 << 20, dtype=np.uint8).sum(dtype=np.int64)))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        print(sums)
    """
    assert run(program) == [f"[{200 << 20}]"]
