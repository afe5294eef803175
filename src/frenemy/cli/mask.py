"""`frenemy mask A B`: judge what lies between two models that differ in batch norm alone; or the masks of one model."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, final

from frenemy.cli.options import at_least, calls, read
from frenemy.cli.subject import Subject
from frenemy.errors import ModelError, UsageError

if TYPE_CHECKING:
    from frenemy.models.answers import Answers
    from frenemy.models.masked import Masked

__all__ = ["MaskOptions", "run"]


@final
@dataclass(frozen=True)
class MaskOptions(Subject):
    """Judge masks of batch norm: frenemy mask A.safetensors B.safetensors, or frenemy mask FILE with masks of its own.

    Args:
        model: the architecture of the files, where they do not tell it themselves.
        points: how many p, evenly spaced from 0 to 1.
        statistics: running means and variances; between, mixed like the rescaling parameters, so that both ends are the
            two models; first or second, those of that model throughout.
        effort: how hard to search, as in frenemy audit; quick, standard or thorough.
        attack: what to search with instead, separated by commas; plain steps on cross-entropy alone are refused.
    """

    verb: ClassVar[str] = "mask"

    model: str | None = None  # type: ignore[assignment]
    points: int = at_least(1, 6)
    statistics: Literal["between", "first", "second"] = "between"
    effort: Literal["quick", "standard", "thorough"] = "standard"
    attack: str | None = calls()


_EPILOG: Final = """\
examples:
  frenemy train standard --model "cifarresnet(depth=8,width=8)" --out plain
  frenemy train pgdat --only norms --weights plain/model.safetensors --out tuned
  frenemy mask plain/model.safetensors tuned/model.safetensors
  frenemy mask runs/train-robmask/model.safetensors --points 3

The slider goes to mask.html, the numbers to results.json and table.csv, both
models in one to model.safetensors. A run that is stopped goes on mask by mask."""


def run(argv: list[str]) -> int:
    """Put two models into one, or take one with masks; audit it under each p; show what is traded."""
    count = next((place for place, word in enumerate(argv) if word.startswith("-")), len(argv))
    files, rest = argv[:count], argv[count:]
    options = read(MaskOptions, rest, "mask A.safetensors B.safetensors", _EPILOG)
    if options is None:
        return 0
    if len(files) not in (1, 2):
        raise UsageError(
            f"expected the weights of two models after frenemy mask, or of one with masks, got {len(files)} words; "
            "write: frenemy mask A.safetensors B.safetensors"
        )
    specs = [f"{options.model}:{file}" if options.model else file for file in files]
    from frenemy.cli.prepare import check, device_of, examples_of, numbers
    from frenemy.cli.progress import Bar
    from frenemy.ledger import open_ledger
    from frenemy.models.build import build
    from frenemy.reports.swept import swept
    from frenemy.risks.masking import masking

    how = {"attacks": options.attack, "effort": options.effort, "losses": None, "access": "gradients"}
    check(options.around, ["enemy"], how, {})
    device, examples = device_of(options.device), examples_of(options)
    mean, std = numbers("mean", options.mean), numbers("std", options.std)
    models = [
        build(
            spec,
            examples=examples,
            mean=mean,
            std=std,
            output=options.output,
            partial=options.partial,
            device=device,
        )[0]
        for spec in specs
    ]
    masked, judged = _masked(models, files, options.statistics)
    asked = dataclasses.replace(options, model=",".join(specs)).asked()
    shares = [place / max(options.points - 1, 1) for place in range(options.points)]
    out, bar = _place(options, files, asked), Bar(quiet=options.quiet)
    command = shlex.join(["frenemy", "mask", *argv])
    with open_ledger(out, asked):
        with bar.task("mask") as told:
            found = masking(
                judged,
                masked.bases,
                examples,
                shares=shares,
                threat=options.around,
                attacks=options.attack,
                effort=options.effort,
                seed=options.seed,
                batch_size=options.batch_size,
                out=out,
                name="-".join(_short(file) for file in files),
                command=command,
                progress=told,
            )
        ends = zip(("at p = 0", "at p = 1"), files, strict=True) if len(files) == 2 else [("model", files[0])]
        settings = {word: _short(file) for word, file in ends}
        settings["statistics"] = options.statistics if len(files) == 2 else masked.statistics
        sentences, written = swept(found, settings, out, command)
        written += _kept(masked, out) if len(files) == 2 else []
    if not options.quiet:
        bar.figures(sentences, written)
    return 0


def _masked(models: list[Answers], files: list[str], statistics: str) -> tuple[Masked, Any]:
    """The model with masks, and what is judged: the same, or what calls it."""
    from torch import nn

    from frenemy.models.answers import Answers
    from frenemy.models.masked import Masked, joined

    inner = [model.model for model in models]
    if len(inner) == 1:
        found = [one for one in models[0].modules() if isinstance(one, Masked)]
        if not found:
            raise ModelError(
                f"expected a model with masks, got {files[0]} without any; give a second one that differs in batch "
                "norm, or train one with robmask or advprop"
            )
        return found[0], models[0]
    first, second = inner
    if not isinstance(first, nn.Module) or not isinstance(second, nn.Module):
        raise ModelError(f"expected two torch modules, got {' and '.join(files)}; give safetensors")
    both = joined(first, second, statistics)
    return both, Answers(both, models[0].output).eval()


def _kept(masked: Masked, out: Path) -> list[Path]:
    """Write both models in one, where its architecture is one of ours."""
    from frenemy.catalog import catalog
    from frenemy.models.files import config_of, save

    if type(masked.model).__name__.lower() not in catalog("models"):
        return []
    file = out / "model.safetensors"
    save(masked, file, config_of(masked))
    return [file]


def _short(file: str) -> str:
    """A file by its name and its folder's: weights are often called alike."""
    path = Path(file.rpartition(":")[2])
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _place(options: MaskOptions, files: list[str], asked: dict[str, Any]) -> Path:
    """The run directory, named after both files."""
    return dataclasses.replace(
        options, model=",".join(_short(file).replace("/", "-") for file in files)
    ).place(asked)
