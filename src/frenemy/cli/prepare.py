"""Prepare: everything that an audit needs, checked before anything long begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frenemy.cli.progress import Bar
from frenemy.cli.subject import Source, Subject
from frenemy.errors import UsageError

if TYPE_CHECKING:
    from frenemy.data.examples import Examples
    from frenemy.models.model import Model

__all__ = ["check", "data_of", "device_of", "examples_of", "models_of", "numbers"]


def numbers(name: str, text: str | None) -> float | list[float] | None:
    """Read an option that is one number, or several separated by commas."""
    if text is None:
        return None
    try:
        found = [float(word) for word in text.strip("[]() ").split(",")]
    except ValueError as error:
        raise UsageError(
            f"expected --{name} to be numbers, got '{text}'; give one, or one a channel separated by commas"
        ) from error
    return found if len(found) > 1 else found[0]


def device_of(name: str) -> str:
    """Name the device that is asked for, and see that it is here; `auto` is a GPU where there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"expected a device that is here, got '{name}': {why[:200]}; try cpu or auto"
        ) from error
    return name


def check(
    threat: str,
    objectives: Sequence[str],
    how: Mapping[str, Any],
    settings: Mapping[str, Any],
    examples: Examples | None = None,
) -> None:
    """Refuse a threat, an objective, a loss or an attack that there is none of, and attacks that do not fit."""
    from frenemy.objectives.surrogates import surrogate
    from frenemy.risks.plan import plan
    from frenemy.risks.question import access_named
    from frenemy.risks.wishes import wish_named
    from frenemy.threats.spec import parse

    box = {"low": examples.low, "high": examples.high} if examples else {}
    around, wishes = parse(threat, **box), [wish_named(wish) for wish in objectives]
    for loss in how["losses"] or ():
        surrogate(loss)
    given = {word: value for word, value in settings.items() if value is not None}
    shape = tuple(examples.x.shape[1:]) if examples else None
    how = {**how, "access": access_named(how.get("access", "gradients"))}
    plan(**how, settings=given, wishes=wishes, threat=around, shape=shape)


def examples_of(options: Subject) -> Examples:
    """Load the examples that are asked about; what the models need is read first, so that it is refused before."""
    numbers("mean", options.mean)
    numbers("std", options.std)
    return data_of(options)


def data_of(options: Source) -> Examples:
    """Load the examples that are asked about."""
    from frenemy.data.find import load

    return load(
        options.data,
        data_dir=options.data_dir,
        split=options.split,
        examples=options.examples,
        resize=options.resize,
        target=options.target,
    )


def models_of(options: Subject, examples: Examples, device: str, bar: Bar) -> dict[str, Model]:
    """Build each model, or train a demonstration model that is not in the cache; give them by short names."""
    from frenemy.models.build import build
    from frenemy.training.demonstration import DEMONSTRATIONS, demonstration

    specs, output, partial = options.specs, options.output, options.partial
    mean, std = numbers("mean", options.mean), numbers("std", options.std)
    shape, classes = tuple(examples.x.shape[1:]), len(examples.classes)
    shown = [spec for spec in specs if spec in DEMONSTRATIONS]
    if shown and (shape, classes) != ((1, 8, 8), 10):
        raise UsageError(
            f"expected digits for the demonstration model {shown[0]}, got {examples.name} with inputs of shape {shape} "
            f"and {classes} classes; name your own model with --model"
        )
    if len(shown) == len(specs) and (mean, std, output, partial) != (None, None, None, False):
        raise UsageError(
            f"expected --mean, --std, --output and --partial with models of your own, got {shown[0]}; leave them out"
        )
    built: dict[str, tuple[str, Model]] = {}
    for spec in specs:
        if spec not in DEMONSTRATIONS:
            model, name = build(
                spec, examples=examples, mean=mean, std=std, output=output, partial=partial, device=device
            )
            built[spec] = _free(name, [other for other, _ in built.values()]), model
    for spec in shown:
        with bar.task(spec) as told:
            built[spec] = spec, demonstration(spec, told=told).to(device)
    return dict(built[spec] for spec in specs)


def _free(name: str, taken: Sequence[str]) -> str:
    """Give the name itself, or the name with the first number that makes it another one."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(free for free in names if free not in taken)
