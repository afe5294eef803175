"""Record what APGD of pyautoattack 0.2.0 does on a tiny net, step by step, for `tests/unit/attacks/test_apgd.py`.

Needs torch and pyautoattack, not frenemy: `python scripts/record_autoattack.py tests/fixtures/autoattack_apgd.json`.

Numbers are short on purpose: what is written down is exactly what was used. Linf and L2 run in float64, so that two
programs that do the same agree for as long as they do; L1 runs in float32, the only type its projection knows, on
inputs in [0.5, 0.95], where adding a number and taking it away again leaves a float32 as it was; the peer counts what
is left by rounding as a change. DLR is flat where the label ranks third, and its gradient there is rounding, so the
sizes are small enough to keep off.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__: list[str] = []

ROWS, FEATURES, HIDDEN, CLASSES, STEPS = 5, 32, 12, 5, 40
SIZES = {"Linf": 0.03, "L2": 0.2, "L1": 0.8}
SEED = 5
LOSSES = ("ce", "dlr", "dlr-targeted")
RANK = 2


class Net(nn.Module):
    """Two layers with a smooth bend between; remembers each point that it is asked about, and its answer."""

    def __init__(self, weights: dict[str, list[Any]], dtype: torch.dtype) -> None:
        super().__init__()
        self.weights = {name: torch.tensor(values, dtype=dtype) for name, values in weights.items()}
        self.points: list[Tensor] = []
        self.answers: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x @ self.weights["first"].T + self.weights["shift"])
        logits: Tensor = hidden @ self.weights["second"].T + self.weights["bias"]
        self.points.append(x.detach().clone())
        self.answers.append(logits.detach().clone())
        return logits


def problem() -> dict[str, Any]:
    """Draw weights, inputs and noise, and round them to a few digits."""
    draw = np.random.default_rng(SEED)
    weights = {
        "first": draw.normal(size=(HIDDEN, FEATURES)).round(2).tolist(),
        "shift": draw.normal(size=HIDDEN).round(2).tolist(),
        "second": draw.normal(size=(CLASSES, HIDDEN)).round(2).tolist(),
        "bias": draw.normal(size=CLASSES).round(2).tolist(),
    }
    return {
        "weights": weights,
        "x": {
            "Linf": draw.uniform(0, 1, (ROWS, FEATURES)).round(3).tolist(),
            "L2": draw.uniform(0, 1, (ROWS, FEATURES)).round(3).tolist(),
            "L1": draw.uniform(0.5, 0.95, (ROWS, FEATURES)).round(3).tolist(),
        },
        "noise": {
            "Linf": draw.uniform(-1, 1, (ROWS, FEATURES)).round(3).tolist(),
            "L2": draw.normal(size=(ROWS, FEATURES)).round(3).tolist(),
            "L1": draw.normal(size=(ROWS, FEATURES)).round(3).tolist(),
        },
    }


def short(values: Tensor, digits: int) -> Any:
    """The numbers of a tensor with so many digits behind the first."""
    return [float(f"{v:.{digits}e}") for v in values.flatten().tolist()]


def record(drawn: dict[str, Any], norm: str, loss: str) -> dict[str, Any]:
    """Run one attack of the peer with this noise, and write down its losses, its flags and its points."""
    peer = import_module("pyautoattack.autopgd_base")

    dtype = torch.float32 if norm == "L1" else torch.float64
    torch.set_default_dtype(dtype)
    net = Net(drawn["weights"], dtype)
    x, noise = (torch.tensor(drawn[name][norm], dtype=dtype) for name in ("x", "noise"))
    clean = net(x)
    y = clean.argmax(1)
    settings: dict[str, Any] = {"n_iter": STEPS, "norm": norm, "eps": SIZES[norm], "device": "cpu"}
    if loss == "dlr-targeted":
        attack = peer.APGDAttack_targeted(net, **settings)
        attack.y_target = clean.sort(dim=1).indices[:, -1 - RANK]
        slope = attack.dlr_loss_targeted
    else:
        attack = peer.APGDAttack(net, loss=loss, **settings)
        slope = attack.dlr_loss if loss == "dlr" else nn.CrossEntropyLoss(reduction="none")
    attack.init_hyperparam(x)
    net.points.clear()
    net.answers.clear()
    ordinary = torch.rand, torch.randn
    torch.rand = lambda *_: (noise + 1) / 2  # type: ignore[assignment]
    torch.randn = lambda *_: noise.clone()  # type: ignore[assignment]
    try:
        best, accurate, peak, _ = attack.attack_single_run(x, y)
    finally:
        torch.rand, torch.randn = ordinary
        torch.set_default_dtype(torch.float32)
    moved = (torch.stack(net.points[1:]) - x).abs()
    if bool(((moved > 0) & (moved < 1e-6)).any()) and norm == "L1":
        sys.exit(
            f"expected coordinates that move or stay, got some left by rounding ({loss}); draw with another SEED"
        )
    losses = torch.stack([slope(answer, y) for answer in net.answers])
    if loss == "dlr" and bool(((losses - 1).abs() < 1e-4).any()):
        sys.exit(f"expected labels that rank first or second, got a third ({norm}); take a smaller size")
    return {
        "losses": [short(row, 6) for row in losses],
        "last": short(net.points[-1], 6),
        "best": short(best, 6),
        "peak": short(peak, 6),
        "fooled": (~accurate.bool()).tolist(),
    }


def main(place: Path) -> None:
    """Write all runs to one file."""
    drawn = problem()
    runs = {f"{norm} {loss}": record(drawn, norm, loss) for norm in SIZES for loss in LOSSES}
    told = {"peer": "pyautoattack 0.2.0", "steps": STEPS, "eps": SIZES, "rank": RANK, **drawn, "runs": runs}
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(told, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
