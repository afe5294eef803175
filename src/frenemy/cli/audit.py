"""`frenemy audit`: judge a model and write the report."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, final

from frenemy.cli.options import read
from frenemy.errors import UsageError

if TYPE_CHECKING:
    from frenemy.cli.progress import Bar
    from frenemy.data.examples import Examples
    from frenemy.models.model import Model

__all__ = ["AuditOptions", "run"]


@final
@dataclass(frozen=True)
class AuditOptions:
    """Judge a model against an enemy, a false friend and anybody who wants its answer to flip.

    Args:
        model: ARCH:FILE.safetensors (see `frenemy list models`), FILE.safetensors, ARCH@SEED for random weights, or
            FILE.py:FACTORY for your own code, which is run; several are separated by commas; digits-plain and
            digits-robust are the demonstration models.
        data: digits, mnist, fashion-mnist, cifar10, cifar100, a folder of class folders, a .csv or .npz file,
            idx:IMAGES,LABELS.
        threat: linf:8/255, l2:0.5, l1:12, or exact norms such as sphere-l2:4; by default linf:0.15 for digits,
            linf:0.2 for mnist and fashion-mnist, linf:8/255 for all else.
        objectives: which questions to ask, separated by commas; enemy, friend, reversal.
        losses: what each search climbs, separated by commas; ce, margin, kl.
        steps: gradient steps of each search.
        step_size: length of a step as a share of eps.
        restarts: random starts of each search.
        curve: points of the accuracy curves from 0 to twice eps; 0 draws none.
        curve_examples: the curves are drawn from the first so many examples.
        examples: judge only the first so many examples.
        split: which part of the data, test or train.
        data_dir: where data sets lie; else the environment variable FRENEMY_DATA, else the user's cache.
        resize: side to which pictures of a folder are resized.
        target: name of the label column of a table; the last one by default.
        mean: what the model subtracts from its inputs, one number or one a channel, separated by commas.
        std: what the model divides its inputs by, likewise.
        output: key, attribute or position of the logits, where the model gives more than one thing.
        partial: load the weights that fit and draw the others at random.
        seed: root of all randomness.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
        precision: float32, or bfloat16 to search in bfloat16 and confirm in float32.
        fast: search with the quick float32 kernels.
        batch_size: the most rows in one forward; halved by itself when memory runs out.
        out: directory for the run and its report; by default runs/DATA-THREAT-MODEL.
        quiet: print nothing but errors.
    """

    model: str = "digits-plain,digits-robust"
    data: str = "digits"
    threat: str | None = None
    objectives: str = "enemy,friend,reversal"
    losses: str = "ce,margin"
    steps: int = 50
    step_size: float = 0.1
    restarts: int = 1
    curve: int = 8
    curve_examples: int = 500
    examples: int | None = None
    split: str = "test"
    data_dir: str | None = None
    resize: int | None = None
    target: str | None = None
    mean: str | None = None
    std: str | None = None
    output: str | None = None
    partial: bool = False
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    fast: bool = True
    batch_size: int = 128
    out: str | None = None
    quiet: bool = False


_THREATS = {
    "digits": "linf:0.15",
    "mnist": "linf:0.2",
    "fashion-mnist": "linf:0.2",
    "fashion_mnist": "linf:0.2",
}


def run(argv: list[str]) -> int:
    """Audit every model that was named, print the numbers, write the report."""
    about = (AuditOptions.__doc__ or "").split("\n")[0]
    options = read(AuditOptions, argv, "audit", about)
    from rich.text import Text

    from frenemy.cli.progress import Bar
    from frenemy.data.find import load
    from frenemy.ledger import open_ledger
    from frenemy.reports.publish import publish
    from frenemy.reports.table import terminal
    from frenemy.risks.audit import audit

    bar = Bar(quiet=options.quiet)
    examples = load(
        options.data,
        data_dir=options.data_dir,
        split=options.split,
        examples=options.examples,
        resize=options.resize,
        target=options.target,
    )
    threat = options.threat or _THREATS.get(options.data.lower(), "linf:8/255")
    specs = _words(options.model)
    out = Path(options.out or _place(options.data, threat, specs))
    asked = {field.name: getattr(options, field.name) for field in fields(options)} | {"threat": threat}
    for name in ("out", "quiet", "device", "batch_size", "data_dir"):
        del asked[name]
    with open_ledger(out, asked):
        audits = []
        for number, spec in enumerate(specs, 1):
            model, name = _model(spec, options, examples, bar)
            with bar.task(f"{name} ({number}/{len(specs)})" if len(specs) > 1 else name) as told:
                audits.append(
                    audit(
                        model,
                        examples,
                        threat=threat,
                        objectives=_words(options.objectives),
                        losses=_words(options.losses),
                        steps=options.steps,
                        step_size=options.step_size,
                        restarts=options.restarts,
                        curve=options.curve,
                        curve_examples=options.curve_examples,
                        seed=options.seed,
                        precision=options.precision,
                        fast=options.fast,
                        batch_size=options.batch_size,
                        out=out / "models" / name,
                        name=name,
                        command=_command(argv),
                        progress=told,
                    )
                )
        publish(audits, out)
    if not options.quiet:
        bar.show(terminal(audits))
        for found in audits:
            for caveat in found.caveats:
                bar.show(Text.assemble((f"{found.model}: {caveat.name}. ", "yellow"), caveat.text))
        bar.show(Text(f"report: {out / 'report.html'}", overflow="fold"))
    failed = any("error" in str(why) for found in audits for why in found.examples["set_apart"])
    return 3 if failed else 0


def _model(spec: str, options: AuditOptions, examples: Examples, bar: Bar) -> tuple[Model, str]:
    """Build the model of one spec, or load a demonstration model, and give it a short name."""
    from frenemy.models.build import build, fits
    from frenemy.training.demonstration import DEMONSTRATIONS, demonstration

    device = _device(options.device)
    if spec not in DEMONSTRATIONS:
        return build(
            spec,
            examples=examples,
            mean=_numbers("mean", options.mean),
            std=_numbers("std", options.std),
            output=options.output,
            partial=options.partial,
            device=device,
        )
    with bar.task(f"{spec}: weights") as told:
        model = demonstration(spec, told=told).to(device)
    fits(model, examples)
    return model, spec


def _device(name: str) -> str:
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UsageError(f"expected one or more words separated by commas, got '{text}'")
    return words


def _numbers(name: str, text: str | None) -> float | list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(word) for word in text.strip("[]() ").split(",")]
    except ValueError as error:
        raise UsageError(f"expected --{name} to be numbers separated by commas, got '{text}'") from error
    return numbers if len(numbers) > 1 else numbers[0]


def _place(data: str, threat: str, specs: list[str]) -> str:
    """Name a run directory after what is run."""
    words = [Path(data).stem if os.sep in data else data, threat, *(Path(spec).name for spec in specs)]
    return os.path.join("runs", re.sub(r"[^A-Za-z0-9.@-]+", "-", "-".join(words))[:100].strip("-."))


def _command(argv: list[str]) -> str:
    return shlex.join(["frenemy", "audit", *argv])
