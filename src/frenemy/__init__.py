"""frenemy: how a model behaves when someone pushes its inputs.

An enemy wants it wrong, a false friend wants it to look right, and anybody may just want its answer to flip.

    >>> import frenemy
    >>> audit = frenemy.audit(model, data, threat="linf:8/255")  # doctest: +SKIP
    >>> audit["risk_adversarial"]                                # doctest: +SKIP

Importing the package is free: torch is loaded with the first name that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frenemy.attacks.bim import BIM as BIM
    from frenemy.attacks.fgsm import FGSM as FGSM
    from frenemy.attacks.pgd import PGD as PGD
    from frenemy.data.batch import Batch as Batch
    from frenemy.data.examples import Examples as Examples
    from frenemy.data.find import load as load
    from frenemy.objectives.hypocritical import Hypocritical as Hypocritical
    from frenemy.objectives.reversal import Reversal as Reversal
    from frenemy.objectives.targeted import Targeted as Targeted
    from frenemy.objectives.untargeted import Untargeted as Untargeted
    from frenemy.reports.publish import publish as publish
    from frenemy.risks.audit import audit as audit
    from frenemy.risks.estimate import Estimate as Estimate
    from frenemy.risks.result import Audit as Audit
    from frenemy.rng import Key as Key
    from frenemy.threats.l1 import L1 as L1
    from frenemy.threats.l2 import L2 as L2
    from frenemy.threats.linf import Linf as Linf
    from frenemy.threats.sphere import Sphere as Sphere

__all__ = [
    "BIM",
    "FGSM",
    "L1",
    "L2",
    "PGD",
    "Audit",
    "Batch",
    "Estimate",
    "Examples",
    "Hypocritical",
    "Key",
    "Linf",
    "Reversal",
    "Sphere",
    "Targeted",
    "Untargeted",
    "audit",
    "load",
    "publish",
]

__version__ = "0.1.0"

_HOMES = {
    "BIM": "attacks.bim",
    "FGSM": "attacks.fgsm",
    "L1": "threats.l1",
    "L2": "threats.l2",
    "PGD": "attacks.pgd",
    "Audit": "risks.result",
    "Batch": "data.batch",
    "Estimate": "risks.estimate",
    "Examples": "data.examples",
    "Hypocritical": "objectives.hypocritical",
    "Key": "rng",
    "Linf": "threats.linf",
    "Reversal": "objectives.reversal",
    "Sphere": "threats.sphere",
    "Targeted": "objectives.targeted",
    "Untargeted": "objectives.untargeted",
    "audit": "risks.audit",
    "load": "data.find",
    "publish": "reports.publish",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'frenemy' has no attribute '{name}'")
    return getattr(import_module(f"frenemy.{_HOMES[name]}"), name)
