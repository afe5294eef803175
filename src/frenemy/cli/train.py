"""`frenemy train METHOD`: train a model by a method of robust training, and keep it where `frenemy audit` finds it."""

from __future__ import annotations

import dataclasses
import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final

from frenemy.calls import Call
from frenemy.catalog import catalog
from frenemy.cli.options import at_least, read
from frenemy.cli.regimen import REGIME, Open
from frenemy.cli.subject import Source, folder, usual_threat
from frenemy.errors import UsageError
from frenemy.training.named import made, method
from frenemy.training.regime import Regime

if TYPE_CHECKING:
    from frenemy.training.recipe import Preset

__all__ = ["TrainOptions", "run"]

_UNNAMED: Final = (
    "out",
    "quiet",
    "data",
    "data_dir",
    "model",
    "weights",
    "device",
    "devices",
    "nodes",
    "log",
)
"""Options that do not stand in the name of a run directory, or stand in its front."""
_MODELS: Final = {"digits": "convnet", "mnist": "lenet", "fashion-mnist": "lenet", "fashion_mnist": "lenet"}


@final
@dataclass(frozen=True)
class TrainOptions(Source, Open):  # type: ignore[misc]
    """Train a model: frenemy train METHOD, such as pgdat or "trades(beta=6)"; see frenemy list recipes.

    Args:
        model: an architecture (see `frenemy list models`), with random weights by the seed, or ARCH:FILE.safetensors
            to go on from; by default convnet for digits, lenet for mnist and fashion-mnist, resnet18 for all else.
        weights: a FILE.safetensors to begin from; the architecture is the one it tells, or that of --model.
        threat: linf:8/255, l2:0.5, ...; by default linf:0.15 for digits, linf:0.2 for mnist and fashion-mnist,
            linf:8/255 for all else.
        preset: paper takes the settings under which the method's source trained on this data; options count before it.
        seed: root of all randomness.
        device: cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
        devices: processes on this machine, one a device; torchrun may start them instead.
        nodes: machines.
        precision: bfloat16 computes losses under autocast.
        log: tensorboard writes each epoch for TensorBoard too, into tensorboard/ of the run directory.
    """

    split: Literal["test", "train"] = "train"
    model: str | None = None
    weights: str | None = None
    threat: str | None = None
    preset: Literal["paper"] | None = None
    seed: int = 0
    device: str = "auto"
    devices: int = at_least(1, 1)
    nodes: int = at_least(1, 1)
    precision: Literal["float32", "bfloat16"] = "float32"
    log: Literal["tensorboard"] | None = None


_EPILOG: Final = """\
examples:
  frenemy train pgdat
  frenemy train "trades(beta=6)" --data mnist --threat linf:0.3 --epochs 10
  frenemy train "sense(c=0.7)" --data mnist --preset paper --device cuda
  frenemy train pgdat --only norms --weights runs/plain/model.safetensors
  torchrun --nproc-per-node 2 -m frenemy train fastat --devices 2

A training that was stopped goes on with the same command. The model goes to
model.safetensors, its curves to training.html, its log to training.json."""


def run(argv: list[str]) -> int:
    """Train, write the model and its page, and say how it did."""
    words = argv[1:] if argv and not argv[0].startswith("-") else argv
    options = read(TrainOptions, words, "train METHOD", _EPILOG)
    if options is None:
        return 0
    if words is argv:
        known = ", ".join(sorted(catalog("training")))
        raise UsageError(f"expected a method after frenemy train, got none; known: {known}")
    call = method(argv[0])
    from frenemy.cli.prepare import data_of
    from frenemy.cli.progress import Bar
    from frenemy.models.build import build
    from frenemy.models.files import config_of, save
    from frenemy.models.masked import Masked
    from frenemy.reports.training import trained
    from frenemy.rng import Key
    from frenemy.threats.spec import parse
    from frenemy.training.engine import engine
    from frenemy.training.fit import fit
    from frenemy.training.log import tensorboard

    preset = _preset(call, options)
    recipe = made(call, preset)
    examples = data_of(options)
    kind = options.model or (preset and preset.model) or _MODELS.get(options.data.lower(), "resnet18")
    around = options.threat or (preset and preset.threat) or usual_threat(options.data)
    regime = _regime(options, preset, len(examples))
    searches = options.threat or any(known.threat for known in recipe.presets.values())
    threat = parse(around, low=examples.low, high=examples.high) if searches else None
    where = engine(options.device, devices=options.devices, nodes=options.nodes, precision=options.precision)
    kind = _begun(options, kind)
    whole = "@" in kind or ":" in kind or kind.endswith(".safetensors")
    spec = kind if whole else f"{kind}@{options.seed}"
    model = _module(build(spec, examples=examples)[0].model, spec)
    out, bar = _place(argv[0], options, kind), Bar(quiet=options.quiet or where.rank > 0)
    written = tensorboard(out / options.log) if options.log and where.rank == 0 else nullcontext()
    with written as logged, bar.task(argv[0]) as told:
        fitted = fit(
            recipe,
            model,
            examples,
            key=Key(options.seed).fold("training"),
            threat=threat,
            regime=regime,
            out=out,
            engine=where,
            told=told,
            logged=logged,
        )
    if where.rank == 0:
        weights = out / "model.safetensors"
        model = fitted.model
        inner = model.model if isinstance(model, Masked) else model
        ours = type(inner).__name__.lower() in catalog("models")
        save(model, weights, config_of(model) if ours else {})
        settings = {"method": argv[0], "model": kind, "threat": "none" if threat is None else around}
        sentences, files = trained(
            fitted,
            settings | {"data": f"{examples.name}, {len(examples):,} examples"},
            dataclasses.asdict(regime),
            out,
            shlex.join(["frenemy", "train", *argv]),
        )
        if not options.quiet:
            judge = f"judge it: frenemy audit --model {weights} --data {options.data} --threat {around}"
            load = f"load {weights} where {spec} makes the model, and judge that"
            bar.figures([*sentences, judge if ours else load], [weights, *files])
    return 0


def _preset(call: Call, options: TrainOptions) -> Preset | None:
    """The settings of the source, where they are asked for."""
    if options.preset is None:
        return None
    known = catalog("training")[call.name].load().presets
    data = options.data.lower()
    if data not in known:
        raise UsageError(
            f"expected --data that {call.name} has a preset for ({', '.join(sorted(known))}), got '{options.data}'; "
            "leave --preset out"
        )
    found: Preset = known[data]
    return found


def _begun(options: TrainOptions, kind: str) -> str:
    """What is trained, where weights are given to begin from."""
    if options.weights is None:
        return kind
    if options.model is None:
        return options.weights
    if "@" in kind or ":" in kind or kind.endswith(".safetensors"):
        raise UsageError(
            f"expected --model to be an architecture beside --weights, got '{kind}'; leave one of the two out"
        )
    return f"{kind}:{options.weights}"


def _regime(options: TrainOptions, preset: Preset | None, rows: int) -> Regime:
    """What was asked for, before what the preset says, before what is usual."""
    given: dict[str, Any] = {"hold_out": min(1000, rows // 10)} if preset is None else dict(preset.regime)
    for name in REGIME:
        if (value := getattr(options, name)) is not None:
            given[name] = value
    if isinstance(marks := given.get("milestones"), str):
        try:
            given["milestones"] = tuple(int(word) for word in marks.strip("()[]").split(",") if word.strip())
        except ValueError as error:
            raise UsageError(
                f"expected --milestones to be epochs separated by commas, got '{marks}'; write such as 60,80"
            ) from error
    return Regime(**given)


def _module(model: object, spec: str) -> Any:
    from torch import nn

    if not isinstance(model, nn.Module) or not any(p.requires_grad for p in model.parameters()):
        raise UsageError(
            f"expected a model with weights to train, got '{spec}'; name an architecture or a torch module of your own"
        )
    return model


def _place(method: str, options: TrainOptions, kind: str) -> Path:
    """The run directory: as asked, or named after method, data and model, and what is not as usual."""
    if options.out:
        return Path(options.out)
    file = Path(options.weights) if options.weights else None
    kind = f"{file.parent.name}-{file.name}" if file else Path(kind).name
    parts = ["train", method, Path(options.data.rpartition(":")[2]).stem or options.data, kind]
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if one.name not in _UNNAMED and value != one.default:
            parts += [one.name, str(value)]
    return folder(parts)
