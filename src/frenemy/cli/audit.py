"""`frenemy audit`: judge a model and write the report."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, final

from frenemy.cli.options import at_least, calls, read

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
        effort: how hard to search; quick is PGD of 20 steps; standard is PGD of 50 steps, and for an enemy APGD,
            DeepFool and 200 queries of Square; thorough is PGD of 100 steps and 5 restarts, and for an enemy
            AutoAttack.
        attack: what to search with instead, separated by commas, with settings and loss in brackets if need be, such as
            pgd(steps=100,loss=margin),square (see `frenemy list attacks`).
        losses: what attacks climb that take a loss, separated by commas; ce, margin, dlr, kl; ce,margin by default.
        steps: gradient steps of every attack that takes some and was not given its own.
        step_size: length of their steps as a share of eps, likewise.
        restarts: their random starts, likewise.
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
        fast: search with the quick float32 kernels, which is usual.
        batch_size: the most rows in one forward; halved by itself when memory runs out.
        time_limit: seconds a batch may take in the model; examples that take longer even alone are set apart.
        out: directory for the run and its report; by default one in runs/, named after what is asked.
        quiet: print nothing but errors.
    """

    model: str = "digits-plain,digits-robust"
    data: str = "digits"
    threat: str | None = None
    objectives: str = "enemy,friend,reversal"
    effort: Literal["quick", "standard", "thorough"] = "standard"
    attack: str | None = calls()
    losses: str | None = None
    steps: int | None = at_least(0, None)
    step_size: float | None = at_least(0, None)
    restarts: int | None = at_least(1, None)
    curve: int = at_least(0, 8)
    curve_examples: int = at_least(1, 500)
    examples: int | None = at_least(1, None)
    split: Literal["test", "train"] = "test"
    data_dir: str | None = None
    resize: int | None = at_least(1, None)
    target: str | None = None
    mean: str | None = None
    std: str | None = None
    output: str | None = None
    partial: bool = False
    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    fast: bool = True
    batch_size: int = at_least(1, 128)
    time_limit: float | None = at_least(0, None)
    out: str | None = None
    quiet: bool = False


_THREATS: Final = {
    "digits": "linf:0.15",
    "mnist": "linf:0.2",
    "fashion-mnist": "linf:0.2",
    "fashion_mnist": "linf:0.2",
}
_ELSEWHERE: Final = ("out", "quiet", "device", "batch_size", "time_limit", "data_dir")
"""Options that do not decide the numbers."""

_EPILOG: Final = """\
examples:
  frenemy audit
  frenemy audit --model net.py:make --data photos --resize 32 --threat l2:0.5
  frenemy audit --model mlp:net.safetensors --data table.csv --threat linf:0.1
  frenemy audit --model net.py:make --effort thorough --objectives enemy
  frenemy audit --model net.py:make --attack "apgd(loss=dlr),square"

exit code: 0 done; 2 an option or a file cannot be used; 3 done, but the model
raised at some examples; 130 or 143 stopped, and the same command goes on"""


def run(argv: list[str]) -> int:
    """Audit every model that was named, print the numbers, write the report."""
    options = read(AuditOptions, argv, "audit", _EPILOG)
    if options is None:
        return 0
    from frenemy.cli.prepare import check, device_of, models, numbers, words
    from frenemy.cli.progress import Bar
    from frenemy.data.find import load
    from frenemy.ledger import open_ledger
    from frenemy.reports.publish import publish
    from frenemy.risks.audit import audit

    specs = words("model", options.model)
    losses = None if options.losses is None else words("losses", options.losses)
    wishes = words("objectives", options.objectives)
    threat = options.threat or _THREATS.get(options.data.lower(), "linf:8/255")
    mean, std = numbers("mean", options.mean), numbers("std", options.std)
    how: dict[str, Any] = {"attacks": options.attack, "effort": options.effort, "losses": losses}
    settings = {word: getattr(options, word) for word in ("steps", "step_size", "restarts")}
    check(threat, wishes, how, settings)
    device = device_of(options.device)
    examples = load(
        options.data,
        data_dir=options.data_dir,
        split=options.split,
        examples=options.examples,
        resize=options.resize,
        target=options.target,
    )
    asked = {one.name: getattr(options, one.name) for one in fields(options) if one.name not in _ELSEWHERE}
    asked |= {"model": ",".join(specs), "objectives": ",".join(wishes), "threat": threat}
    asked |= {"losses": losses and ",".join(losses)}
    check(threat, wishes, how, settings, examples)
    out = Path(options.out or _place(asked, specs))
    bar = Bar(quiet=options.quiet)
    audits = []
    with open_ledger(out, asked):
        judged = models(
            specs, examples, device, bar, mean=mean, std=std, output=options.output, partial=options.partial
        )
        for number, (name, model) in enumerate(judged.items(), 1):
            with bar.task(f"{name} ({number}/{len(judged)})" if len(judged) > 1 else name) as told:
                audits.append(
                    audit(
                        model,
                        examples,
                        threat=threat,
                        objectives=wishes,
                        **how,
                        **settings,
                        curve=options.curve,
                        curve_examples=options.curve_examples,
                        seed=options.seed,
                        precision=options.precision,
                        fast=options.fast,
                        batch_size=options.batch_size,
                        time_limit=options.time_limit,
                        out=out / "models" / name,
                        name=name,
                        command=shlex.join(["frenemy", "audit", *argv]),
                        progress=told,
                    )
                )
        publish(audits, out)
    if not options.quiet:
        bar.results(audits, out / "report.html")
    raised = any("error" in str(why) for found in audits for why in found.examples["set_apart"])
    return 3 if raised else 0


def _place(asked: dict[str, Any], specs: list[str]) -> str:
    """Name a run directory after what is asked: data, threat, models, and the options that are not as usual."""
    data = str(asked["data"]).rpartition(":")[2]
    words = [Path(data).stem or data, asked["threat"], *(Path(spec).name for spec in specs)]
    for one in fields(AuditOptions):
        value = asked.get(one.name, one.default)
        if one.name not in ("model", "data", "threat") and value != one.default:
            words += [one.name, value] if value is not False else ["no", one.name]
    name = re.sub(r"[^A-Za-z0-9.@-]+", "-", "-".join(map(str, words))).strip("-.")
    if len(name) > 100:
        name = f"{name[:90]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"
    return str(Path("runs", name))
