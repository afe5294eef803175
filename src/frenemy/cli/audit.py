"""`frenemy audit`: judge a model and write the report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from frenemy.cli.options import at_least, calls, read
from frenemy.cli.subject import Subject, words

__all__ = ["AuditOptions", "run"]


@final
@dataclass(frozen=True)
class AuditOptions(Subject):
    """Judge a model against an enemy, a false friend and anybody who wants its answer to flip.

    Args:
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
        queries: rows that an attack by scores or labels may ask about for one example, likewise.
        access: what the searches see of the model; gradients, scores, or its labels alone.
        curve: points of the accuracy curves from 0 to twice eps; 0 draws none.
        curve_examples: the curves are drawn from the first so many examples.
        quantise: bits to which the points of pictures are rounded, to be judged again; 8 for most image files.
        precision: float32, or bfloat16 to search in bfloat16 and confirm in float32.
        fast: search with the quick float32 kernels, which is usual.
        time_limit: seconds a batch may take in the model; examples that take longer even alone are set apart.
    """

    objectives: str = "enemy,friend,reversal"
    effort: Literal["quick", "standard", "thorough"] = "standard"
    attack: str | None = calls()
    losses: str | None = None
    steps: int | None = at_least(0, None)
    step_size: float | None = at_least(0, None)
    restarts: int | None = at_least(1, None)
    queries: int | None = at_least(1, None)
    access: Literal["gradients", "scores", "labels"] = "gradients"
    curve: int = at_least(0, 8)
    curve_examples: int = at_least(1, 500)
    quantise: int | None = at_least(1, None)
    precision: Literal["float32", "bfloat16"] = "float32"
    fast: bool = True
    time_limit: float | None = at_least(0, None)


_EPILOG: Final = """\
examples:
  frenemy audit
  frenemy audit --model net.py:make --data photos --resize 32 --threat l2:0.5
  frenemy audit --model mlp:net.safetensors --data table.csv --threat linf:0.1
  frenemy audit --model net.py:make --effort thorough --objectives enemy
  frenemy audit --model net.py:make --attack "apgd(loss=dlr),square"
  frenemy audit --model net.py:make --data photos --quantise 8
  frenemy audit --model http://127.0.0.1:8000/ask --access labels --queries 900

exit code: 0 done; 2 an option or a file cannot be used; 3 done, but the model
raised at some examples, or one behind an address answers no more; 130 or 143
stopped, and the same command goes on"""


def run(argv: list[str]) -> int:
    """Audit every model that was named, print the numbers, write the report."""
    options = read(AuditOptions, argv, "audit", _EPILOG)
    if options is None:
        return 0
    from frenemy.cli.prepare import check, device_of, examples_of, models_of
    from frenemy.cli.progress import Bar
    from frenemy.ledger import open_ledger
    from frenemy.reports.publish import publish
    from frenemy.risks.audit import audit

    losses = None if options.losses is None else words("losses", options.losses)
    wishes, threat = words("objectives", options.objectives), options.around
    how: dict[str, Any] = {"attacks": options.attack, "effort": options.effort, "losses": losses}
    how |= {"access": options.access}
    settings = {word: getattr(options, word) for word in ("steps", "step_size", "restarts", "queries")}
    check(threat, wishes, how, settings)
    device = device_of(options.device)
    examples = examples_of(options)
    asked = options.asked() | {"objectives": ",".join(wishes), "losses": losses and ",".join(losses)}
    check(threat, wishes, how, settings, examples)
    out = options.place(asked)
    bar = Bar(quiet=options.quiet)
    audits = []
    with open_ledger(out, asked):
        judged = models_of(options, examples, device, bar)
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
                        quantise=options.quantise,
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
