"""Which library has which attack, and with what settings the same question is put to it.

Versions: foolbox==3.3.4, torchattacks==3.5.1, adversarial-robustness-toolbox==1.20.1, adv-lib==0.2.8,
pyautoattack==0.2.0 (the authors' own AutoAttack, as a package).
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

import numpy as np
import torch
from libraries import (
    ORDERS,
    Run,
    Task,
    adv_lib,
    art,
    art_ball,
    ball,
    foolbox,
    foolbox_near,
    original,
    stubbed,
)
from libraries import torchattacks as ta
from torch import Tensor, nn

from frenemy import Batch

ANY: Final = "linf l2 l1"
_MODULES: Final = {
    "pyautoattack": ("pyautoattack",),
    "foolbox": ("foolbox",),
    "torchattacks": ("torchattacks",),
    "art": ("art.attacks.evasion", "art.estimators.classification"),
}


def able(library: str, task: Task) -> bool:
    """Whether a library is installed and has this attack for this norm."""
    norms = PEERS[library].get(task.attack, ("", None))[0].split()
    return task.norm in norms and importlib.util.find_spec(library) is not None


def import_it(library: str) -> None:
    """Import what a library takes its attacks from, so that no run pays for it."""
    if library == "adv_lib":
        stubbed("adv_lib.attacks", ("torchvision", "visdom"))
    for module in _MODULES.get(library, ()):
        importlib.import_module(module)


def points(library: str, task: Task, model: nn.Module, batch: Batch) -> Tensor:
    """Run the attack of a library; the global generators, from which it draws, are seeded afresh."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    return PEERS[library][task.attack][1](task, model, batch).detach()


def _adv_apgd(call: Any, task: Task, model: nn.Module, batch: Batch, **settings: Any) -> Any:
    return call(model, batch.x, batch.y, task.eps, ORDERS[task.norm], n_iter=task.steps, **settings)


def _adv_pgd(call: Any, task: Task, model: nn.Module, batch: Batch, **settings: Any) -> Any:
    same = {"steps": task.steps, "relative_step_size": 0.1}
    return call(model, batch.x, batch.y, task.eps, **same, **settings)


def _adv_fab(call: Any, task: Task, model: nn.Module, batch: Batch, **settings: Any) -> Any:
    return call(model, batch.x, batch.y, ORDERS[task.norm], n_iter=task.steps, **settings)


def _adv_deepfool(call: Any, task: Task, model: nn.Module, batch: Batch) -> Any:
    norm = ORDERS[task.norm]
    return call(model, batch.x, batch.y, steps=task.steps, norm=norm, return_unsuccessful=True)


def _adv_cw(a: Any, task: Task, model: nn.Module, batch: Batch) -> Any:
    if task.norm == "linf":
        return a.carlini_wagner_linf(
            model, batch.x, batch.y, max_iterations=task.steps * task.rounds, abort_early=False
        )
    settings = {"binary_search_steps": task.rounds, "max_iterations": task.steps, "abort_early": False}
    return a.carlini_wagner_l2(model, batch.x, batch.y, initial_const=_constant(task), **settings)


def _constant(task: Task) -> float:
    """Give the first constant: 1 where there is one round, the usual 0.001 where it is searched for."""
    return 1.0 if task.rounds == 1 else 1e-3


def _rounds(task: Task) -> dict[str, Any]:
    return {"binary_search_steps": task.rounds, "steps": task.steps, "initial_const": _constant(task)}


def _alpha(task: Task, x: Tensor) -> dict[str, Any]:
    return {"eps": task.eps, "alpha": task.eps / 10, "steps": task.steps}


def _art_steps(task: Task, batch: Batch) -> dict[str, Any]:
    step = {"eps_step": task.size(batch.x) / 10, "max_iter": task.steps, "verbose": False}
    return art_ball(task, batch) | step


def _art_apgd(task: Task, batch: Batch, loss: str) -> dict[str, Any]:
    step = {"eps_step": 2 * task.size(batch.x), "nb_random_init": 1, "loss_type": loss}
    return _art_steps(task, batch) | step


def _art_rounds(task: Task, batch: Batch) -> dict[str, Any]:
    if task.norm == "linf":
        return {"max_iter": task.steps, "verbose": False}
    rounds = {"binary_search_steps": task.rounds, "max_iter": task.steps, "verbose": False}
    return rounds | {"initial_const": _constant(task)}


_ORIGINAL: Final[dict[str, tuple[str, Run]]] = {
    "APGD-CE": (ANY, original("autopgd_base", "APGDAttack", lambda t: {"n_iter": t.steps, "loss": "ce"})),
    "APGD-DLR": (ANY, original("autopgd_base", "APGDAttack", lambda t: {"n_iter": t.steps, "loss": "dlr"})),
    "APGD-T": (ANY, original("autopgd_base", "APGDAttack_targeted", lambda t: {"n_iter": t.steps})),
    "FAB": (ANY, original("fab_pt", "FABAttack_PT", lambda t: {"n_iter": t.steps})),
    "FAB-T": (ANY, original("fab_pt", "FABAttack_PT", lambda t: {"n_iter": t.steps, "targeted": True})),
    "Square": (ANY, original("square", "SquareAttack", lambda t: {"n_queries": t.steps})),
    "AutoAttack": (ANY, original("autoattack", "AutoAttack", lambda t: {})),
}
_ADV_LIB: Final[dict[str, tuple[str, Run]]] = {
    "PGD": ("linf", adv_lib(lambda a, *given: _adv_pgd(a.pgd_linf, *given, loss_function="ce"))),
    "PGD-margin": ("linf", adv_lib(lambda a, *given: _adv_pgd(a.pgd_linf, *given, loss_function="dl"))),
    "APGD-CE": (ANY, adv_lib(lambda a, *given: _adv_apgd(a.apgd, *given, loss_function="ce"))),
    "APGD-DLR": (ANY, adv_lib(lambda a, *given: _adv_apgd(a.apgd, *given, loss_function="dlr"))),
    "APGD-T": (ANY, adv_lib(lambda a, *given: _adv_apgd(a.apgd_targeted, *given, num_targets=9))),
    "FAB": (ANY, adv_lib(lambda a, *given: _adv_fab(a.fab, *given))),
    "FAB-T": (ANY, adv_lib(lambda a, *given: _adv_fab(a.fab, *given, targeted_restarts=True, restarts=9))),
    "DeepFool": ("linf l2", adv_lib(lambda a, *given: _adv_deepfool(a.df, *given))),
    "C&W": ("linf l2", adv_lib(_adv_cw)),
    "DDN": ("l2", adv_lib(lambda a, t, m, b: a.ddn(m, b.x, b.y, steps=t.steps, levels=None))),
    "FMN": (ANY, adv_lib(lambda a, t, m, b: a.fmn(m, b.x, b.y, ORDERS[t.norm], steps=t.steps))),
}
_FOOLBOX: Final[dict[str, tuple[str, Run]]] = {
    "FGSM": ("linf", foolbox(lambda a, t: a.FGSM())),
    "PGD": ("linf", foolbox(lambda a, t: a.LinfPGD(rel_stepsize=0.1, steps=t.steps))),
    "MI-FGSM": ("linf", foolbox(lambda a, t: a.MIFGSM(rel_stepsize=0.1, steps=t.steps))),
    "DeepFool": ("linf l2", foolbox_near("DeepFoolAttack")),
    "C&W": ("l2", foolbox(lambda a, t: a.L2CarliniWagnerAttack(**_rounds(t), abort_early=False))),
    "EAD": ("l1", foolbox(lambda a, t: a.EADAttack(**_rounds(t), abort_early=False, decision_rule="L1"))),
    "DDN": ("l2", foolbox(lambda a, t: a.DDNAttack(steps=t.steps))),
    "FMN": (ANY, foolbox_near("FMNAttack")),
}
_TORCHATTACKS: Final[dict[str, tuple[str, Run]]] = {
    "FGSM": ("linf", ta("FGSM", lambda t, x: {"eps": t.eps})),
    "PGD": ("linf", ta("PGD", _alpha)),
    "MI-FGSM": ("linf", ta("MIFGSM", _alpha)),
    "APGD-CE": ("linf l2", ta("APGD", lambda t, x: {**ball(t, x), "steps": t.steps})),
    "APGD-DLR": ("linf l2", ta("APGD", lambda t, x: {**ball(t, x), "steps": t.steps, "loss": "dlr"})),
    "APGD-T": ("linf l2", ta("APGDT", lambda t, x: {**ball(t, x), "steps": t.steps})),
    "FAB": (ANY, ta("FAB", lambda t, x: {**ball(t, x), "steps": t.steps})),
    "FAB-T": (ANY, ta("FAB", lambda t, x: {**ball(t, x), "steps": t.steps, "multi_targeted": True})),
    "Square": ("linf l2", ta("Square", lambda t, x: {**ball(t, x), "n_queries": t.steps})),
    "DeepFool": ("l2", ta("DeepFool", lambda t, x: {"steps": t.steps})),
    "C&W": ("l2", ta("CW", lambda t, x: {"c": 1, "steps": t.steps * t.rounds})),
    "EAD": ("l1", ta("EADL1", lambda t, x: {"max_iterations": t.steps, "binary_search_steps": t.rounds})),
}
_ART: Final[dict[str, tuple[str, Run]]] = {
    "FGSM": ("linf", art("FastGradientMethod", art_ball)),
    "PGD": ("linf", art("ProjectedGradientDescentPyTorch", _art_steps)),
    "MI-FGSM": ("linf", art("MomentumIterativeMethod", _art_steps)),
    "APGD-CE": (
        ANY,
        art("AutoProjectedGradientDescent", lambda t, b: _art_apgd(t, b, "cross_entropy")),
    ),
    "APGD-DLR": (
        ANY,
        art("AutoProjectedGradientDescent", lambda t, b: _art_apgd(t, b, "difference_logits_ratio")),
    ),
    "Square": (
        "linf l2",
        art("SquareAttack", lambda t, b: art_ball(t, b) | {"max_iter": t.steps, "verbose": False}),
    ),
    "DeepFool": ("l2", art("DeepFool", lambda t, b: {"max_iter": t.steps, "verbose": False})),
    "C&W": (
        "linf l2",
        art(lambda t: "CarliniLInfMethod" if t.norm == "linf" else "CarliniL2Method", _art_rounds),
    ),
    "EAD": ("l1", art("ElasticNet", lambda t, b: _art_rounds(t, b) | {"decision_rule": "L1"})),
}
PEERS: Final = {
    "pyautoattack": _ORIGINAL,
    "adv_lib": _ADV_LIB,
    "foolbox": _FOOLBOX,
    "torchattacks": _TORCHATTACKS,
    "art": _ART,
}
"""For each library and attack: the norms it has, and how it runs."""
