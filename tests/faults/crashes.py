"""D: crashes. What is finished stays finished, and nothing is counted twice."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.faults.kit import case, refused, said

from frenemy.files import write_atomic
from frenemy.ledger import open_ledger

ASKED: Final = ["audit", "--model", "mlp@1", "--examples", "60", "--effort", "quick", "--steps", "5"]
ASKED.extend(["--curve", "2", "--curve-examples", "30", "--quiet"])
KILLS: Final = 200
FRESH: Final = 10
"""So many of the kills hit processes that were started for them; the others children of one that has torch loaded."""

EACH: Final = 8
"""An audit is killed so often at most before it is let through, so that there are many."""

SERVER: Final = """
import os, sys
import torch
torch.set_num_threads(1)
import frenemy.cli.audit, frenemy.cli.prepare, frenemy.reports.publish, frenemy.risks.audit
from frenemy.cli.main import main
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.close(0)
        os._exit(main(line.split("\\t")[:-1]))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Server:
    """A process with everything imported, which forks a child for each audit."""

    def __init__(self, place: Path) -> None:
        environment = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._line()

    def _line(self, patience: float = 120) -> str:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], patience)[0], "the server does not answer"
        return self.process.stdout.readline().strip()

    def run(self, out: Path, after: float | None) -> int:
        """Run an audit, kill it after so many seconds unless it ends before; give its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\t".join([*ASKED, "--out", str(out), "\n"]))
        self.process.stdin.flush()
        child = int(self._line())
        if after is not None and not select.select([self.process.stdout], [], [], after)[0]:
            os.kill(child, signal.SIGKILL)
        return int(self._line())

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def told(out: Path) -> tuple[bytes, bytes, list[Any], dict[str, list[Any]]]:
    """All that a run says, but for the seconds it took: tables by their bytes, numbers, one verdict an example."""
    rows = json.loads((out / "results.json").read_text())
    for row in rows:
        row["cost"].pop("seconds")
    with np.load(out / "examples.npz") as stored:
        columns = {name: np.nan_to_num(stored[name], nan=-1).tolist() if stored[name].dtype.kind == "f"
                   else stored[name].tolist() for name in stored.files}  # fmt: skip
    return (out / "table.csv").read_bytes(), (out / "table.tex").read_bytes(), rows, columns


def fresh(out: Path, place: Path, after: float) -> bool:
    """Start a whole new process and kill it; say whether it was still running."""
    process = subprocess.Popen(
        [sys.executable, "-m", "frenemy", *ASKED, "--out", str(out)],
        env={**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


@case(43)
def killed_at_any_moment(place: Path) -> str:
    """200 kill -9 at random moments of audits: each comes to the tables, byte for byte, of one that was left alone."""
    dice, server = random.Random(43), Server(place)
    try:
        began = time.monotonic()
        assert server.run(place / "whole", None) == 0
        lasts, wanted = time.monotonic() - began, told(place / "whole")
        kills = runs = 0
        while kills < KILLS:
            out = place / f"run-{runs}"
            runs += 1
            while runs <= 5 and kills < FRESH * runs // 5:
                kills += fresh(out, place, 1.5 + dice.uniform(0, lasts))
            code, until = -signal.SIGKILL, min(kills + EACH, KILLS)
            while code == -signal.SIGKILL and kills < until:
                code = server.run(out, dice.uniform(0.02, 0.75 * lasts))
                kills += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL), code
            assert server.run(out, None) == 0
            assert told(out) == wanted
            assert not list(out.glob("**/*.part"))
        return f"nothing lost: {kills} kills, {runs} audits"
    finally:
        server.close()


@case(44)
def killed_while_it_writes(place: Path) -> str:
    """Killed in the middle of writes: the old file or the new one is there, never a part; leftovers are swept."""
    script = (
        "import sys, itertools; from pathlib import Path; from frenemy.files import write_atomic\n"
        "print('ready', flush=True)\n"
        "for k in itertools.cycle(range(256)): write_atomic(Path(sys.argv[1]), bytes([k]) * 3_000_000)"
    )
    dice = random.Random(44)
    (place / "jobs").mkdir()
    file = place / "jobs" / "state"
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.05))
        process.kill()
        process.communicate()
        if file.exists():
            data = file.read_bytes()
            assert len(data) == 3_000_000
            assert len(set(data)) == 1
    left = len(list(place.glob("jobs/*.part")))
    with open_ledger(place, {"a": 1}):
        assert not list(place.glob("jobs/*.part"))
    return f"nothing lost: 40 kills, {left} leftovers swept"


@case(45)
def the_disk_is_full(place: Path) -> str:
    """A file system of 256 kB: one sentence, nothing damaged; with room again the same command goes on."""
    disk = place / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    out, words = disk / "run", [*ASKED, "--model", "linear@0"]
    try:
        if not mounted:
            return _a_small_limit(place)
        (disk / "filler").write_bytes(bytes(200 * 1024))
        code, _, err = said(*words, "--out", out)
        assert code == 2, err
        assert "space" in err, err
        assert "Traceback" not in err, err
        kept = {path: path.read_bytes() for path in out.glob("**/*.npz")}
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True, capture_output=True)
        code, _, err = said(*words, "--out", out)
        assert code == 0, err
        assert all(path.read_bytes() == data for path, data in kept.items() if "jobs" in path.parts)
        assert said(*words, "--out", place / "whole")[0] == 0
        assert told(out) == told(place / "whole")
        return f"refused, nothing lost: {len(kept)} finished jobs kept"
    finally:
        if mounted:
            subprocess.run(["umount", str(disk)], check=False, capture_output=True)


def _a_small_limit(place: Path) -> str:
    """Where nothing can be mounted: no file may grow above 4 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    write_atomic(place / "state", b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with refused("free some space"):
            write_atomic(place / "state", bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert (place / "state").read_bytes() == b"old"
    write_atomic(place / "state", bytes(10_000))
    return "refused, nothing lost (a limit on files; no file system could be mounted)"


@case(47)
def two_at_once(place: Path) -> str:
    """A second run on one directory is refused while the first writes; when that is gone it goes on."""
    with open_ledger(place / "run", {"a": 1}):
        with refused("still writing"), open_ledger(place / "run", {"a": 1}):
            pass
        code, _, err = said(*ASKED, "--out", place / "run")
        assert code == 2, err
        assert "still writing" in err, err
    with open_ledger(place / "run", {"a": 1}):
        pass
    return "refused"


@case(48)
def told_to_stop(place: Path) -> str:
    """Ctrl-C and SIGTERM: it ends within 10 s with 130 or 143, says how to go on, and goes on."""
    for number, wanted in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = place / f"run-{wanted}"
        process = subprocess.Popen(
            [sys.executable, "-m", "frenemy", *ASKED, "--steps", "400", "--out", str(out)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(place / "cache")},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        deadline = time.monotonic() + 60
        while not list(out.glob("models/*/jobs/*.npz")) and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - began < 10
        assert process.returncode == wanted, (process.returncode, err)
        assert "go on" in err, err
    return "nothing lost: 130, 143"
