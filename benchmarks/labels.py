"""Searches by labels beside their peers: the same model, points and queries; distance reached and CPU time a query.

    python benchmarks/labels.py --data-dir DIR --model lenet:FILE [--points 50] [--keys 2] [--peers] [--out FILE.json]

Peers that are not installed are left out. The code of Sign-OPT's authors is no package: give a clone of
github.com/cmhcbb/attackbox by `--attackbox`. The floor is the model's forward on as many rows in chunks of 256. What a
file holds already stays there, so that `--only "signopt;signopt, authors"` adds to it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from label_peers import PEERS, attackbox, line, peer
from torch import Tensor, nn

import frenemy
from frenemy.attacks.attack import Books
from frenemy.catalog import find
from frenemy.models.build import build
from frenemy.risks.named import asked

OWN = (
    "hopskipjump",
    "hopskipjump(cloud=100,memory=0)",
    "signopt",
    "signopt(directions=200,tries=100,beta=0.001,memory=0)",
    "svmopt",
    "opt",
    "boundary",
    "guessingsmart",
    "geoda",
)
"""Ours, as they come; and with the settings of their papers."""


def own(name: str, model: nn.Module, batch: frenemy.Batch, marks: tuple[int, ...], keys: int) -> Any:
    """Let one of ours search all points at once, once a key; read its distances at the marks."""
    attack = asked(name)[0].having({"queries": marks[-1], "batch_size": 256}).attack
    threat, places = frenemy.L2(1000.0), Books.marks(marks[-1])
    columns = [max(k for k, place in enumerate(places) if place <= mark) for mark in marks]
    reached, rows, began = [], 0, time.process_time()
    for key in range(keys):
        found = attack(model, batch, threat=threat, objective=frenemy.Untargeted(), key=frenemy.Key(key))
        assert found.books is not None
        rows += int(found.queries.sum())
        reached.append(found.books.trace[:, columns].numpy())
    return line(np.concatenate(reached), marks, (time.process_time() - began) / rows)


def floor(model: nn.Module, x: Tensor, rows: int) -> float:
    """CPU seconds a row of forwards in chunks of 256."""
    chunk = x.repeat(-(-256 // len(x)), 1, 1, 1)[:256]
    times = []
    with torch.no_grad():
        for _ in range(max(5, rows // 256)):
            began = time.process_time()
            model(chunk)
            times.append((time.process_time() - began) / 256)
    return statistics.median(times)


def main() -> None:
    """Measure, print a line each, keep all in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--model", required=True, help="a model of MNIST, such as lenet:FILE.safetensors")
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--keys", type=int, default=1, help="runs of each search from other starts")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--attackbox", type=Path, help="a clone of the code of Sign-OPT's authors")
    parser.add_argument("--only", default="", help="names, or how they begin, separated by ;")
    parser.add_argument("--marks", default="1000,2400,4000")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    examples = frenemy.load("mnist", data_dir=options.data_dir, examples=2 * options.points + 20)
    model, _ = build(options.model, examples=examples)
    whole = examples.batch(slice(0, None))
    with torch.no_grad():
        right = (model(whole.x).argmax(1) == whole.y).nonzero().flatten()[: options.points]
    batch, marks = whole.rows(right), tuple(map(int, options.marks.split(",")))
    same = {
        "points": len(batch),
        "keys": options.keys,
        "model": Path(options.model).name,
        "marks": list(marks),
    }
    found: dict[str, Any] = same | {"threads": torch.get_num_threads()}
    if options.out and options.out.exists():
        kept = json.loads(options.out.read_text(encoding="utf-8"))
        if (other := {name: kept.get(name) for name in same}) != same:
            parser.error(f"expected {options.out} to be of {same}, got {other}; give another --out")
        found = kept | found
    found["floor"] = base = round(1e6 * floor(model, batch.x, 20000), 1)
    print(f"floor: {base} us of CPU a row", flush=True)
    ddn = find("attacks", "ddn").load()()(
        model, batch, threat=frenemy.L2(1000.0), objective=frenemy.Untargeted(), key=frenemy.Key(0)
    )
    found["white box"] = round(float((ddn.x - batch.x).flatten(1).norm(dim=1).median()), 4)
    print(f"white box (DDN): median {found['white box']}", flush=True)
    peers = dict(PEERS) if options.peers else {}
    if options.attackbox:
        peers["signopt, authors"] = attackbox(options.attackbox)
    for name in [*OWN, *peers]:
        if options.only and not name.startswith(tuple(options.only.split(";"))):
            continue
        measured = (
            own(name, model, batch, marks, options.keys)
            if name in OWN
            else peer(peers[name], model, batch.x, batch.y, marks, options.keys)
        )
        if measured is None:
            continue
        found[name] = measured | {"floor": base}
        print(
            f"{name}: median {measured['median']} at {measured['queries']}, {measured['microseconds']} us a query",
            flush=True,
        )
        if options.out:
            lines = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
            options.out.write_text(f"{{\n {lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
