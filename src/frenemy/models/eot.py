"""EOT: what a random model answers on average, so that a search does not climb one draw's luck."""

from __future__ import annotations

import math
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from frenemy.errors import ModelError
from frenemy.models.model import Model

__all__ = ["EOT"]


@final
class EOT(nn.Module):
    r"""Ask a random model `draws` times and answer with the average; gradients are averages too.

    - `of="probabilities"`: $\log \frac1K \sum_k \operatorname{softmax} f_k(x)$, the logarithm of the mean
      probabilities. Cross-entropy is then the loss of the answer a user meets on average, and no single confident draw
      outweighs the others.
    - `of="logits"`: $\frac1K \sum_k f_k(x)$, the mean logits. Where a loss is linear in the logits (a margin between
      two fixed classes), its gradient is exactly that of the mean of the losses, Athalye's expectation.

    Cross-entropy of either average is at most the mean of the draws' cross-entropies (Jensen), with equality where the
    draws agree: it is the loss of the average that is climbed, not the average of the losses.

    The randomness is the model's own: a model that reads a global generator moves it, this wrapper reads none. What is
    random in training mode only (dropout) is not random to an attack, which looks in evaluation mode.

    Args:
        model: a model whose answer to the same input varies from call to call; a module becomes a submodule.
        draws: calls behind an answer, at least 1.
        of: what is averaged.

    Raises:
        ModelError: `draws` or `of` is out of range.

    Cost: `draws` forwards, and as many backwards, for one. Count them inside, `EOT(Counted(model))`; a search that
    counts its own rows counts an average as one.

    References:
        Athalye, Engstrom, Ilyas and Kwok 2018, "Synthesizing robust adversarial examples", ICML, arXiv:1707.07397,
        eq. 1; Athalye, Carlini and Wagner 2018, "Obfuscated gradients give a false sense of security", ICML,
        arXiv:1802.00420, Section 4.2.
    """

    def __init__(
        self, model: Model, draws: int = 20, of: Literal["probabilities", "logits"] = "probabilities"
    ) -> None:
        super().__init__()
        if draws < 1:
            raise ModelError(f"expected draws to be at least 1, got {draws}; 20 is usual")
        if of not in ("probabilities", "logits"):
            raise ModelError(f"expected of to be 'probabilities' or 'logits', got '{of}'")
        self.model, self.draws, self.of = model, draws, of

    def forward(self, x: Tensor) -> Tensor:
        """The average answer, `(batch, classes)`: logarithms of probabilities, or logits."""
        answers = torch.stack([self.model(x) for _ in range(self.draws)])
        if self.of == "logits":
            return answers.mean(0)
        return log_softmax(answers, 2).logsumexp(0) - math.log(self.draws)

    def votes(self, x: Tensor) -> Tensor:
        """How often each class was the answer in `draws` fresh calls, `(batch, classes)` int64.

        An answer that is not finite votes for nobody. The majority is `votes(x).argmax(1)`: judge a point found by it,
        on draws that the search has not seen.
        """
        with torch.no_grad():
            return torch.stack([_vote(self.model(x)) for _ in range(self.draws)]).sum(0)


def _vote(logits: Tensor) -> Tensor:
    finite = logits.isfinite().all(1, keepdim=True)
    return one_hot(logits.argmax(1), logits.shape[1]) * finite
