"""A: inputs. What comes in is not what was expected."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import torch
from tests.faults.kit import QUICK, apart, case, few, honest, plain, refused, said, same

from frenemy.attacks.pgd import PGD
from frenemy.data.batch import Batch
from frenemy.data.examples import Examples
from frenemy.models.convnets import ConvNet
from frenemy.objectives.untargeted import Untargeted
from frenemy.risks.audit import audit
from frenemy.rng import Key
from frenemy.threats.linf import Linf


def attacked(batch: Batch, eps: float = 0.1, **how: object) -> torch.Tensor:
    """Points of a short PGD on the honest model."""
    attack = PGD(steps=3, **how)  # type: ignore[arg-type]
    return attack(plain(), batch, threat=Linf(eps), objective=Untargeted(), key=Key(0)).x


@case(1)
def an_input_that_is_no_number(place: Path) -> str:
    """NaN or infinity in an image: set apart and counted, the others as without it."""
    x = few().x.clone()
    x[7, 0, 3, 3], x[20, 0, 0, 0] = math.nan, math.inf
    found = audit(plain(), dataclasses.replace(few(), x=x), **QUICK)
    assert apart(found) == [7, 20]
    same(found, found.examples["set_apart"] == "")
    return "flagged: 2 set apart"


@case(2)
def inputs_up_to_255(place: Path) -> str:
    """Floats in [0, 255]: refused, with the range that came."""
    with refused("between 0 and 1", "scale the data"):
        audit(plain(), dataclasses.replace(few(), x=few().x * 255), **QUICK)
    return "refused"


@case(3)
def inputs_a_hair_outside(place: Path) -> str:
    """Out of the box by less than 1e-5: taken as they are, and no point of an attack leaves the box."""
    batch = few().batch()
    found = attacked(Batch(batch.x - 5e-6, batch.y, batch.index))
    assert bool(((found >= 0) & (found <= 1)).all())
    audit(plain(), dataclasses.replace(few(), x=few().x - 5e-6), **QUICK)
    return "fixed"


@case(4)
def bytes_as_pixels(place: Path) -> str:
    """uint8 pixels: read as x / 255, with the verdicts of the same floats."""
    x = (few().x * 255).round().to(torch.uint8)
    found = audit(plain(), dataclasses.replace(few(), x=x), **QUICK)
    same(found, other=audit(plain(), dataclasses.replace(few(), x=x.float() / 255), **QUICK))
    return "fixed"


@case(5)
def another_precision(place: Path) -> str:
    """float64 inputs, a bfloat16 model: cast, and said."""
    found = audit(plain(), dataclasses.replace(few(), x=few().x.double()), **QUICK)
    same(found)
    import copy

    low = audit(copy.deepcopy(plain()).bfloat16(), few(), **QUICK)
    assert any("bfloat16" in note for note in low.notes), low.notes
    return "fixed"


@case(6)
def an_odd_layout(place: Path) -> str:
    """Transposed, channels-last and expanded inputs: the bits of the contiguous ones."""
    batch = few().batch()
    wide = batch.x.expand(-1, 3, -1, -1)
    views = [batch.x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)]
    views += [batch.x.to(memory_format=torch.channels_last)]
    for view in views:
        assert torch.equal(attacked(Batch(view, batch.y, batch.index)), attacked(batch))
    model = ConvNet(channels=3).eval()
    attack, threat = PGD(steps=2), Linf(0.1)
    one, other = (
        attack(model, Batch(x, batch.y, batch.index), threat=threat, objective=Untargeted(), key=Key(0)).x
        for x in (wide, wide.contiguous())
    )
    assert torch.equal(one, other)
    return "fixed"


@case(7)
def an_input_with_a_history(place: Path) -> str:
    """Inputs that require a gradient or come out of inference mode: worked on as copies, left as they were."""
    batch = few().batch()
    leaf = batch.x.clone().requires_grad_()
    with torch.inference_mode():
        inference = batch.x.clone()
    for x in (leaf, leaf * 1, inference):
        found = attacked(Batch(x, batch.y, batch.index))
        assert torch.equal(found, attacked(batch))
        assert not found.requires_grad
        assert torch.equal(x.detach(), batch.x)
    assert leaf.grad is None
    return "fixed"


@case(8)
def no_gradients_allowed(place: Path) -> str:
    """Called under no_grad or inference_mode: works all the same."""
    batch = few().batch()
    with torch.no_grad():
        assert torch.equal(attacked(batch), attacked(batch))
    with torch.inference_mode():
        inside = attacked(batch)
    assert torch.equal(inside.clone(), attacked(batch))
    return "fixed"


@case(9)
def nothing_at_all(place: Path) -> str:
    """An empty batch: an empty result."""
    batch = few().batch(slice(0, 0))
    assert attacked(batch).shape == batch.x.shape
    return "fixed"


@case(10)
def one_of_everything(place: Path) -> str:
    """A single example, and an image of one pixel: judged like any other."""
    found = audit(plain(), few().take(slice(0, 1)), **QUICK)
    same(
        found, other=dataclasses.replace(honest(), examples={k: v[:1] for k, v in honest().examples.items()})
    )
    dot = Examples("dot", torch.full((4, 1, 1, 1), 0.5), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    audit(lambda x: torch.cat([x.flatten(1), 1 - x.flatten(1)], 1), dot, **QUICK)
    return "fixed"


@case(11)
def a_ragged_end(place: Path) -> str:
    """Batches that do not divide the examples: the same verdicts."""
    for size in (7, 17, 60):
        same(audit(plain(), few(), **QUICK, batch_size=size))
    return "fixed"


@case(12)
def labels_of_another_kind(place: Path) -> str:
    """Whole floats and small integers as labels are read; fractions are refused."""
    x, y = few().x.numpy(), few().y.numpy()
    for kind in (np.int32, np.uint8, np.float64):
        np.savez(place / "data.npz", x=x, y=y.astype(kind))
        code, _, _ = said("audit", "--model", "linear@0", "--data", place / "data.npz", "--effort", "quick",
                          "--steps", 2, "--curve", 0, "--quiet", "--out", place / kind.__name__)  # fmt: skip
        assert code == 0
    np.savez(place / "data.npz", x=x, y=y + 0.5)
    code, _, err = said("audit", "--model", "linear@0", "--data", place / "data.npz", "--out", place / "f")
    assert code == 2, err
    assert "fractions" in err, err
    return "fixed; fractions refused"


@case(13)
def a_label_that_is_no_class(place: Path) -> str:
    """A label below 0 or above the classes: refused, with the place of the first."""
    y = few().y.clone()
    y[11] = 10
    with refused("labels from 0 to 9", "at example"):
        dataclasses.replace(few(), y=y)
    return "refused"


@case(14)
def more_labels_than_inputs(place: Path) -> str:
    """Another number of labels than inputs: refused. Inputs the model cannot take: said before any attack."""
    with refused("one label for each"):
        Examples("odd", few().x, few().y[:-1], few().classes)
    code, _, err = said(
        "audit", "--model", "linear@0", "--mean", "0,0,0", "--std", "1,1,1", "--out", place / "o"
    )
    assert code == 2, err
    return "refused"


@case(15)
def a_size_that_is_none(place: Path) -> str:
    """eps below 0 or NaN is refused; eps 0 leaves the clean numbers."""
    for words in ("linf:-0.1", "linf:nan", "linf:inf"):
        code, _, err = said("audit", "--threat", words, "--out", place / "x")
        assert code == 2, err
        assert words in err, err
    none = audit(plain(), few(), **{**QUICK, "threat": "linf:0"})
    assert none["accuracy_adversarial"] == none["accuracy_clean"] == none["accuracy_hypocritical"]
    return "refused; 0 is the clean number"


@case(16)
def no_steps(place: Path) -> str:
    """No steps judge the start alone; a step of no length moves nothing; no restarts are refused."""
    batch = few().batch()
    assert torch.equal(attacked(batch, random_start=False, step_size=0.0), batch.x)
    audit(plain(), few(), **{**QUICK, "steps": 0})
    code, _, err = said("audit", "--restarts", 0, "--out", place / "x")
    assert code == 2, err
    return "fixed; no restarts refused"


@case(17)
def an_example_that_stands_twice(place: Path) -> str:
    """Two examples with one place in the data: refused."""
    index = torch.arange(60)
    index[5] = 4
    with refused("different places"):
        dataclasses.replace(few(), index=index)
    return "refused"
