"""Worst of k: try a few members of a finite threat, drawn for each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from frenemy.attacks.attack import Found, admit
from frenemy.attacks.tries import Tries
from frenemy.card import Access, Card
from frenemy.data.batch import Batch
from frenemy.errors import UsageError
from frenemy.models.model import Model
from frenemy.objectives.objective import Objective
from frenemy.rng import Key
from frenemy.threats.threat import Threat

__all__ = ["WorstOfK"]


@final
@dataclass(frozen=True, slots=True)
class WorstOfK:
    r"""Try `k` different members of the threat, drawn for each row on its own, and keep the best.

    $$ x' = \operatorname{argmax}_{i \in K} \ell(T_i(x)), \quad K \sim U\{1, \dots, n - 1\}, \; |K| = k $$

    The first members are the same for any larger k, so that more are never worse.

    Args:
        k: members to try, 1 or more; all of them where there are no more. The input itself comes on top.
        early_stop: a row leaves at its first success, which is then not the member of highest loss. Verdicts are the
            same without it.
        batch_size: the most rows in one forward; None is all rows of the call. Results do not depend on it.

    Returns:
        Found, with `x` a member of the set; `step` is the number of the try that succeeded first, 0 for the input.

    Raises:
        UsageError: the threat has no members to try, the inputs are no pictures, or `k` or `batch_size` is below 1.

    Cost: a row takes 1 + k forwards, less what early stopping saves.

    Example:
        >>> import frenemy, torch
        >>> from frenemy.threats.spatial import Spatial
        >>> model, x = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), torch.rand(4, 1, 8, 8)
        >>> batch = frenemy.Batch(x, model(x).argmax(1), torch.arange(4))
        >>> found = WorstOfK(early_stop=False)(
        ...     model, batch, threat=Spatial(), objective=frenemy.Untargeted(), key=frenemy.Key(0)
        ... )
        >>> found.forwards
        tensor([11, 11, 11, 11])
    """

    k: int = 10
    early_stop: bool = True
    batch_size: int | None = None

    card: ClassVar[Card] = Card(
        authors="Engstrom, Tran, Tsipras, Schmidt, Madry",
        title="Exploring the landscape of spatial robustness",
        year=2019,
        venue="ICML",
        link="arXiv:1712.02779",
        place="Section 3.2, worst-of-k",
        access=Access.SCORES,
        threats=("spatial", "invariances"),
        deviations=(
            "draws from the members of the threat, without repetition; the paper draws from intervals",
            "the input itself is a candidate too",
            "stops at a success unless told otherwise",
        ),
    )

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"expected k to be at least 1, got {self.k}; 10 is usual")

    def __call__(
        self, model: Model, batch: Batch, *, threat: Threat, objective: Objective, key: Key
    ) -> Found:
        """Search every row of the batch."""
        admit(self, threat)

        def choose(index: Tensor, count: int) -> Tensor:
            words = key.fold("member").words(index, (count - 1,))
            return 1 + torch.argsort(words, dim=1, stable=True)[:, : self.k]

        return Tries(choose, self.early_stop, self.batch_size)(
            model, batch, threat=threat, objective=objective
        )
