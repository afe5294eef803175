"""`make faults`: every case of the plan, one line each; some numbers to run those alone."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

import tests.faults.crashes
import tests.faults.files
import tests.faults.inputs
import tests.faults.models  # noqa: F401
from tests.faults.kit import CASES, NOT_YET


def main(words: list[str]) -> int:
    """Run them; give the exit code."""
    wanted = {int(word) for word in words}
    cases = [one for one in CASES if not wanted or one.number in wanted]
    os.environ.pop("FRENEMY_DATA", None)
    survived = 0
    for one in cases:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            os.environ["XDG_CACHE_HOME"] = str(Path(place) / "cache")
            try:
                outcome, well = one.run(Path(place)), True
            except Exception:
                outcome, well = "NOT AS PROMISED", False
                traceback.print_exc()
        survived += well
        print(f"{one.number:3}  {outcome:46} {time.monotonic() - began:5.1f} s  {one.promise}", flush=True)
    for number, what in NOT_YET.items():
        if not wanted or number in wanted:
            print(f"{number:3}  not yet, not counted: {what}")
    lost = "nothing lost" if survived == len(cases) else "NOT ALL AS PROMISED"
    print(f"{survived} of {len(cases)} survived, {lost}")
    return 0 if survived == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
