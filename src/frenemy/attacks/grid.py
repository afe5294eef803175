"""Grid: try everything a finite threat holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Found, admit
from frenemy.attacks.tries import Tries
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["Grid"]


@final
@dataclass(frozen=True, slots=True)
class Grid:
    r"""Try every member of the threat, in order, and keep the best: what it does not find is not there.

    $$ x' = \operatorname{argmax}_{k < n} \ell(T_k(x)) $$

    Args:
        early_stop: a row leaves at its first success, which is then not the member of highest loss. Verdicts are the
            same without it.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` a member of the set; `step` is the number of the member that succeeded first, 0 for the input.

    Raises:
        UsageError: the threat has no members to try, the inputs are no pictures, or `batch_size` is below 1.

    Cost: a row takes as many forwards as the threat has members, less what early stopping saves.

    Example:
        >>> import frenemy, torch
        >>> from frenemy.threats.spatial import Spatial
        >>> model, x = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), torch.rand(4, 1, 8, 8)
        >>> batch, threat = frenemy.Batch(x, model(x).argmax(1), torch.arange(4)), Spatial(angles=3, shifts=3)
        >>> found = Grid(early_stop=False)(
        ...     model, batch, threat=threat, objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> found.forwards
        tensor([27, 27, 27, 27])
    """

    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Engstrom, Tran, Tsipras, Schmidt, Madry",
        title="Exploring the landscape of spatial robustness",
        year=2019,
        venue="ICML",
        link="arXiv:1712.02779",
        place="Section 3.2, grid search",
        access=Access.SCORES,
        reach=1.0,
        threats=("spatial", "invariances"),
        deviations=("stops at a success unless told otherwise; the paper takes the largest loss of all",),
    )

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch; no random number is drawn."""
        admit(self, threat)
        return Tries(_all, self.early_stop, self.batch_size)(model, batch, threat=threat, objective=objective)


def _all(index: Tensor, count: int) -> Tensor:
    return torch.arange(1, count, device=index.device).expand(len(index), count - 1)
