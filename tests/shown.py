"""Runs what documents and examples show, in one process, without the checks that tests put on every call.

Reads a JSON list of jobs `{"folder": ..., "steps": [[kind, text], ...]}` and writes a JSON list of `{"out": ...}` or
`{"error": ...}`. A step is `python` (code; a first line `# NAME.py` also makes it a file), `script` (a path) or
`frenemy` (words of the command line).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

__all__ = ["shown"]


def shown(jobs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Run the jobs in a fresh process in which warnings are errors; one thread is enough for what they ask."""
    command, world = [sys.executable, "-W", "error", __file__], {**os.environ, "OMP_NUM_THREADS": "1"}
    asked = json.dumps(jobs)
    ended = subprocess.run(command, input=asked, env=world, capture_output=True, text=True, timeout=220)
    assert ended.returncode == 0, ended.stderr
    results: list[dict[str, str]] = json.loads(ended.stdout.splitlines()[-1])
    return results


def _step(kind: str, text: str, world: dict[str, Any]) -> None:
    if kind == "script":
        runpy.run_path(text, run_name="__main__")
    elif kind == "frenemy":
        from frenemy.cli.main import main

        code = main(shlex.split(text))
        assert code == 0, f"exit code {code}: frenemy {text}"
    else:
        if named := re.match(r"# (\w+\.py)\n", text):
            Path(named[1]).write_text(text)
        exec(compile(text, "shown", "exec"), world)


def _job(job: dict[str, Any]) -> dict[str, str]:
    os.chdir(job["folder"])
    said, world = io.StringIO(), {"__name__": "shown"}
    try:
        with contextlib.redirect_stdout(said):
            for kind, text in job["steps"]:
                _step(kind, text, world)
    except BaseException:
        return {"error": traceback.format_exc(), "out": said.getvalue()}
    return {"out": said.getvalue()}


if __name__ == "__main__":
    print(json.dumps([_job(job) for job in json.load(sys.stdin)]))
