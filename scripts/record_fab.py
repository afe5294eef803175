"""Record what the released FAB finds on a small network: tests/fixtures/autoattack_fab.json.

    pip install --no-deps pyautoattack==0.2.0
    python scripts/record_fab.py

The file holds the network, the inputs and, for each norm, the released distances, all faces at once and one target at a
time, and which rows its targeted run calls robust. The test that reads it needs no such package.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from frenemy.rng import Key

PLACE: Final = Path(__file__).parents[1] / "tests" / "fixtures" / "autoattack_fab.json"
FEATURES: Final = 16
HIDDEN: Final = 12
CLASSES: Final = 10
ROWS: Final = 48
STEPS: Final = 20
ORDERS: Final = {"Linf": torch.inf, "L2": 2.0, "L1": 1.0}


def network(key: Key) -> nn.Sequential:
    """Two layers whose answers vary over the unit cube."""
    model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draw = key.fold(name).normal(torch.arange(len(parameter)), tuple(parameter.shape[1:]))
            parameter.copy_(draw)
        model[0].bias.sub_(model[0].weight.sum(1) / 2)  # type: ignore[operator]
    return model.requires_grad_(False)


def distances(model: nn.Module, x: Tensor, y: Tensor, norm: str, target: int | None) -> Tensor:
    """How far the released code goes in one run; inf where it finds nothing."""
    attack = import_module("pyautoattack.fab_pt").FABAttack_PT(model, norm=norm, n_iter=STEPS)
    attack.target_class = target
    found = attack.attack_single_run(x, y, use_rand_start=False, is_targeted=target is not None)
    length = torch.linalg.vector_norm(found - x, ord=ORDERS[norm], dim=1)
    return torch.where(model(found).argmax(1) == y, torch.inf, length)


def middle(lengths: Tensor) -> float:
    """A size that half of the rows withstand, as far from any row's distance as can be."""
    ranked = lengths.sort().values
    inner = ranked[len(ranked) // 3 : 2 * len(ranked) // 3]
    widest = int(inner.diff().argmax())
    return round(float(inner[widest : widest + 2].mean()), 6)


def main() -> None:
    """Run the released code and write down what it found."""
    key, index = Key(11), torch.arange(ROWS)
    model, x = network(key.fold("net")), key.fold("x").uniform(index, (FEATURES,))
    x = torch.where(key.fold("edge").uniform(index, (FEATURES,)) < 0.2, x.round(), x)
    logits = model(x)
    y = torch.where(index % 8 == 5, logits.argmin(1), logits.argmax(1))
    record: dict[str, Any] = {
        "source": "pyautoattack 0.2.0, FABAttack_PT",
        "steps": STEPS,
        "weights": {name: value.tolist() for name, value in model.state_dict().items()},
        "x": x.tolist(),
        "y": y.tolist(),
        "norms": {},
    }
    right = logits.argmax(1) == y
    for norm in ORDERS:
        whole = distances(model, x, y, norm, None)
        each = torch.stack([distances(model, x, y, norm, target) for target in range(2, CLASSES + 1)])
        nearest = each.amin(0)
        eps = middle(nearest[right])
        attack = import_module("pyautoattack.fab_pt").FABAttack_PT(
            model, norm=norm, n_iter=STEPS, eps=eps, targeted=True, n_target_classes=CLASSES - 1
        )
        robust = model(attack.perturb(x, y)).argmax(1) == y
        record["norms"][norm.lower()] = {
            "eps": eps,
            "robust": robust.tolist(),
            "all": [None if length == torch.inf else length for length in whole.tolist()],
            "targets": [None if length == torch.inf else length for length in nearest.tolist()],
        }
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
