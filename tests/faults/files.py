"""C: files that nobody should trust."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from tests.faults.kit import QUICK, case, few, honest, plain, refused, said

import frenemy
from frenemy.models.files import config_of, load_state, save
from frenemy.models.mlp import MLP
from frenemy.reports.publish import publish
from frenemy.reports.record import load
from frenemy.risks.audit import audit


def audited(place: Path, **options: object) -> tuple[int, str]:
    """`frenemy audit` with these options: exit code and what it said."""
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    code, _, err = said("audit", *words, "--quiet", "--out", place / "run")
    assert "Traceback" not in err, err
    return code, err


class Trap:
    """A pickle that would write a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


@case(36)
def a_pickle_with_a_trap(place: Path) -> str:
    """Checkpoints that are pickles: refused, nothing in them runs."""
    for name in ("net.pt", "net.pth", "net.bin", "net.safetensors"):
        (place / name).write_bytes(pickle.dumps(Trap(place / "sprung")))
        code, err = audited(place, model=f"mlp:{place / name}")
        assert code == 2, err
    assert not (place / "sprung").exists()
    return "refused"


@case(37)
def bombs(place: Path) -> str:
    """An npz of a few kB that declares gigabytes, a safetensors header that lies: refused before they are read."""
    shape = "(1000000, 1, 64, 64)"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(place / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("x.npy", array + bytes(300 * 2**20))
        bomb.writestr("y.npy", array)
    assert (place / "bomb.npz").stat().st_size < 2**20
    lying = json.dumps({"layers.0.weight": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 8]}})
    (place / "lie.safetensors").write_bytes(len(lying).to_bytes(8, "little") + lying.encode() + bytes(8))
    (place / "long.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, err = audited(place, data=place / "bomb.npz", model="linear@0")
    assert code == 2, err
    for name in ("lie", "long"):
        with refused("safetensors"):
            load_state(MLP(64, (24,), 10), place / f"{name}.safetensors")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64, f"{grown:.0f} MiB"
    return "refused"


@case(38)
def truncated(place: Path) -> str:
    """Cut, empty and foreign files, weights and data alike: refused by name."""
    save(plain(), place / "net.safetensors", config_of(plain()))
    whole = (place / "net.safetensors").read_bytes()
    for name, data in {"cut": whole[:-9], "empty": b"", "foreign": b"%PDF-1.4" + whole}.items():
        (place / f"{name}.safetensors").write_bytes(data)
        code, err = audited(place, model=place / f"{name}.safetensors")
        assert code == 2, err
        assert f"{name}.safetensors" in err, err
    np.savez(place / "data.npz", x=few().x.numpy(), y=few().y.numpy())
    data = (place / "data.npz").read_bytes()
    for name, part in {"half": data[: len(data) // 2], "none": b""}.items():
        (place / f"{name}.npz").write_bytes(part)
        code, err = audited(place, data=place / f"{name}.npz", model="linear@0")
        assert code == 2, err
        assert f"{name}.npz" in err, err
    return "refused"


@case(39)
def weights_that_do_not_fit(place: Path) -> str:
    """Missing, unexpected and misshapen tensors: refused with their names; --partial takes what fits."""
    save(MLP(64, (25,), 10), place / "net.safetensors", {})
    with refused("of another shape"):
        load_state(MLP(64, (24,), 10), place / "net.safetensors")
    with refused("missing"):
        load_state(MLP(64, (25, 25), 10), place / "net.safetensors")
    return "refused"


@case(40)
def pictures_that_cannot_be_read(place: Path) -> str:
    """A corrupt picture in a folder is left out and counted; links that lead out of it are too."""
    outside = place / "outside"
    for folder in (place / "data" / "a", place / "data" / "b", outside):
        folder.mkdir(parents=True)
        for k in range(3):
            (folder / f"{k}.pgm").write_bytes(b"P5 8 8 255\n" + bytes([20 * k] * 64))
    (place / "data" / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (place / "data" / "c").symlink_to(outside)
    code, err = audited(place, data=place / "data", model="linear@0", steps=2, curve=0)
    assert code == 0, err
    (found,) = load(place / "run")
    assert len(found.examples["index"]) == 6
    assert "1 pictures could not be decoded and were skipped" in found.notes, found.notes
    assert "3 links lead out of the folder and were skipped" in found.notes, found.notes
    return "fixed: 4 left out, counted"


@case(41)
def hostile_words(place: Path) -> str:
    """A YAML bomb, unknown keys, script in the names of models and classes: refused, or shown and never run."""
    levels = "\n".join(f"l{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]" for k in range(1, 12))
    (place / "bomb.yaml").write_text(f"l0: &l0 [x, x]\n{levels}\n")
    (place / "odd.yaml").write_text("epss: 3\n")
    for name in ("bomb", "odd"):
        code, _, err = said("audit", "--config", place / f"{name}.yaml", "--out", place / "run")
        assert code == 2, (name, err)
        assert "Traceback" not in err
    import dataclasses

    script = "<script>document.title='run'</script>"
    named = dataclasses.replace(few(), classes=tuple(f"{script}{k}" for k in range(10)))
    publish(
        [audit(plain(), named, **QUICK, name=f"{script}<img src=x onerror=document.title='run'>")],
        place / "p",
    )
    page = place / "p" / "report.html"
    assert script not in page.read_text()
    browser = shutil.which("chromium")
    if browser is None:
        return "refused; escaped (no browser here to try)"
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place / 'chrome'}"]
    words += ["--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>run</title>" not in shown
    assert "<h1>" in shown
    return "refused; shown, not run"


@case(42)
def results_of_another_time(place: Path) -> str:
    """Results of another version, or edited: refused, with the fix."""
    publish([honest()], place / "run")
    file = place / "run" / "audit.json"
    text = file.read_text()
    assert load(place / "run")[0].trust == honest().trust
    file.write_text(text.replace('"format": ', '"format": 9'))
    with refused("format", "update frenemy"):
        load(place / "run")
    file.write_text(text)
    arrays = place / "run" / "examples.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    with refused("damaged", "again"):
        load(place / "run")
    assert frenemy.__version__ in text
    return "refused"
