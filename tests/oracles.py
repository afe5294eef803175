"""What the laws are held against: closed forms, slow loops, and models that misbehave in known ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor, nn

from frenemy.models.build import initialise
from frenemy.models.linear import Linear
from frenemy.models.mlp import MLP
from frenemy.models.model import Model
from frenemy.risks.estimate import Estimate
from frenemy.rng import Key
from frenemy.threats.threat import Threat, radii

__all__ = [
    "Scripted",
    "backwards",
    "dlr",
    "exact",
    "identities",
    "kl",
    "linear_best",
    "linear_net",
    "log_loss",
    "margin",
    "net",
    "randomness",
    "traces",
    "wilson",
]


class _Backwards(torch.autograd.Function):
    """The same forwards, the opposite backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        return -gradient[0]


def backwards(model: nn.Module) -> Model:
    """The model's answers, with gradients that point the wrong way."""
    return lambda x: model(_Backwards.apply(x))  # type: ignore[no-untyped-call]


def log_loss(logits: Tensor, label: int) -> float:
    """Cross-entropy of one row by scipy, in float64."""
    row = logits.double().numpy()
    return float(logsumexp(row) - row[label])


def margin(logits: Tensor, label: int) -> float:
    """Best other logit less the label's, by a loop."""
    return max(float(z) for k, z in enumerate(logits.double()) if k != label) - float(logits[label])


def dlr(logits: Tensor, label: int) -> float:
    """The margin over the distance of the best logit from the third, or alone where there is no third."""
    top = sorted(logits.tolist(), reverse=True)
    return margin(logits, label) / (top[0] - top[2] if len(top) > 2 else 1.0)


def kl(goal: Tensor, logits: Tensor) -> float:
    """Divergence of one row's answer from the distribution whose logits are `goal`, by scipy."""
    q, p = (np.exp(z.double().numpy() - logsumexp(z.double().numpy())) for z in (goal, logits))
    return float(stats.entropy(q, p))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval by scipy."""
    ends = stats.binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(ends.low), float(ends.high)


def linear_best(threat: Threat, x: Tensor, clean: Tensor, slope: Tensor) -> Tensor:
    """Largest value of `clean + <slope, d>` over a ball or sphere without a box: `clean + eps ||slope||*`."""
    return clean + radii(threat.eps, x) * threat.dual_norm(slope)


def linear_net(features: int, classes: int, key: Key, dtype: torch.dtype = torch.float32) -> Linear:
    """Draw an affine map with normal weights, which are not symmetric, and a bias."""
    with torch.random.fork_rng(devices=[]):
        module = Linear(features, classes).to(dtype)
    with torch.no_grad():
        rows = torch.arange(classes)
        module.layer.weight.copy_(key.fold("weight").normal(rows, (features,), dtype))
        module.layer.bias.copy_(key.fold("bias").normal(rows, (), dtype))
    return module


def net(features: int, classes: int, key: Key, dtype: torch.dtype = torch.float64, gain: float = 3.0) -> MLP:
    """Draw a small curved network; `gain` makes its answers vary over the unit cube."""
    with torch.random.fork_rng(devices=[]):
        module = MLP(features, (12, 9), classes)
    initialise(module, key)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(gain)
    return module.to(dtype)


def traces(model: nn.Module) -> dict[str, Any]:
    """Record all that a search might leave behind on a module."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": [(name, module.training) for name, module in model.named_modules()],
        "hooks": [len(getattr(m, word)) for m in model.modules() for word in hooks],
        "values": [(name, tensor.detach().numpy().tobytes(), tensor._version) for name, tensor in tensors],
        "wants": [(name, tensor.requires_grad) for name, tensor in tensors],
        "grads": [(n, None if t.grad is None else t.grad.numpy().tobytes()) for n, t in tensors],
        "attributes": sorted(name for m in model.modules() for name in vars(m)),
    }


def randomness() -> tuple[bytes, str]:
    """Read the states of the global generators of torch and numpy; the tests' type checker draws from Python's."""
    return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state())  # noqa: NPY002


@dataclass
class Scripted:
    """A model that raises when told to; counts its calls.

    Args:
        model: answers otherwise.
        when: asked at each call, with its number from 1 and the inputs; gives the exception to raise, or None.
    """

    model: Callable[[Tensor], Tensor]
    when: Callable[[int, Tensor], Exception | None]
    calls: int = field(default=0)

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        error = self.when(self.calls, x)
        if error is not None:
            raise error
        return self.model(x)


def exact(estimate: Estimate) -> Fraction:
    """The proportion behind an estimate; 0 where it is undefined."""
    return Fraction(round(estimate.value * estimate.n), estimate.n) if estimate.n else Fraction(0)


def identities(estimates: Mapping[str, Estimate]) -> None:
    """Hold measures against Propositions 1 and 2 and Theorem 1 of 000, in fractions."""
    risk = {name: exact(estimate) for name, estimate in estimates.items()}
    natural = risk["risk_natural"]
    on_correct, on_wrong = risk["risk_adversarial_on_correct"], risk["risk_reversible_on_wrong"]
    assert risk["risk_adversarial"] == natural + (1 - natural) * on_correct
    assert risk["risk_reversible"] == (1 - natural) * on_correct + natural * on_wrong
    assert risk["risk_hypocritical"] <= risk["risk_hypocritical_changed"] <= on_wrong
    assert risk["accuracy_hypocritical"] == 1 - natural + natural * risk["risk_hypocritical"]
    assert risk["accuracy_clean"] == 1 - natural
    assert risk["accuracy_adversarial"] == 1 - risk["risk_adversarial"]
    wrong = estimates["risk_hypocritical"].n
    assert natural == Fraction(wrong, estimates["risk_natural"].n)
    assert estimates["risk_adversarial_on_correct"].n + wrong == estimates["risk_natural"].n
