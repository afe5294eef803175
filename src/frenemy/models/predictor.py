"""Predictor: a classifier that is no torch module, and gives scores or labels for NumPy rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frenemy.card import Access
from frenemy.errors import ModelError

__all__ = ["Predictor", "estimator"]


@final
class Predictor(nn.Module):
    """Ask a function of NumPy arrays, and give what it answers as logits.

    Args:
        ask: maps `(batch, *shape)` float32 rows to probabilities or scores `(batch, classes)`, to `(batch,)`
            probabilities or scores of the second of two classes, or to `(batch,)` labels.
        gives: `probabilities`, whose logarithm is passed on; `scores`, as they are; or `labels`.
        names: the labels in the order of the classes; 0, 1, ... by default.
        flat: whether the function takes `(batch, features)` whatever the shape.

    Attributes:
        access: what it gives: `Access.SCORES` or `Access.LABELS`.

    Returns:
        In a call `(batch, classes)` logits without gradients; for labels 1 at the label and 0 elsewhere.

    Raises:
        ModelError: in a call, there are not as many answers as rows; they are no numbers; probabilities are not in
            [0, 1]
            or do not sum to 1; or a label is none of the names.
    """

    def __init__(
        self,
        ask: Callable[[NDArray[np.float32]], Any],
        gives: str,
        names: Sequence[object],
        flat: bool = True,
    ) -> None:
        super().__init__()
        self.ask, self.gives, self.names, self.flat = ask, gives, list(names), flat
        self.access = Access.LABELS if gives == "labels" else Access.SCORES

    def forward(self, x: Tensor) -> Tensor:
        """Ask about every row."""
        if not len(x):
            return x.new_zeros(0, len(self.names))
        rows = np.ascontiguousarray(x.detach().to("cpu", torch.float32).numpy())
        answers = np.asarray(self.ask(rows.reshape(len(rows), -1) if self.flat else rows))
        if answers.shape[:1] != (len(x),):
            raise ModelError(
                f"expected one answer for each of {len(x)} rows, got {answers.shape}; let the predictor keep the rows"
            )
        logits = self._labels(answers) if self.gives == "labels" else self._scores(answers)
        return torch.from_numpy(logits).to(x.device)

    def _scores(self, answers: NDArray[Any]) -> NDArray[np.float32]:
        try:
            scores = answers.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"expected scores that are numbers, got {answers.ravel()[:1].tolist()}; give probabilities or labels"
            ) from error
        soft = self.gives == "probabilities"
        if scores.ndim == 1 or scores.shape[1:] == (1,):
            second = scores.reshape(-1)
            scores = np.stack([1 - second if soft else -second / 2, second if soft else second / 2], axis=1)
        if scores.shape[1:] != (len(self.names),):
            raise ModelError(
                f"expected {len(self.names)} scores a row, one for each class, got {scores.shape[1:]}; give the data "
                "that the model was built for"
            )
        if soft:
            sound = scores[np.isfinite(scores).all(1)]
            if ((sound < -1e-6) | (sound > 1 + 1e-6)).any() or (np.abs(sound.sum(1) - 1) > 1e-3).any():
                raise ModelError(
                    f"expected probabilities that sum to 1, got {np.round(sound[0], 4).tolist()}; give them as scores"
                )
            scores = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
        return scores.astype(np.float32)

    def _labels(self, answers: NDArray[Any]) -> NDArray[np.float32]:
        places = {str(name): place for place, name in enumerate(self.names)}
        answers = answers.reshape(len(answers), -1)[:, 0]
        told = [str(int(a)) if isinstance(a, float) and a.is_integer() else str(a) for a in answers.tolist()]
        strange = next((word for word in told if word not in places), None)
        if strange is not None:
            raise ModelError(
                f"expected labels among {', '.join(list(places)[:10])}, got '{strange[:40]}'; give the data that the "
                "model was built for"
            )
        logits = np.zeros((len(told), len(places)), dtype=np.float32)
        logits[np.arange(len(told)), [places[word] for word in told]] = 1
        return logits


def estimator(model: Any) -> Predictor | None:
    """Take a fitted model with the methods of scikit-learn (LightGBM and XGBoost have such too); None if it is none.

    Its probabilities are taken where it gives some, else its decision function, else its labels.
    """
    names = getattr(model, "classes_", None)
    if names is None or isinstance(model, nn.Module):
        return None
    names = np.asarray(names).tolist()
    if hasattr(model, "predict_proba"):
        return Predictor(model.predict_proba, "probabilities", names)
    if hasattr(model, "decision_function"):
        return Predictor(model.decision_function, "scores", names)
    return Predictor(model.predict, "labels", names) if hasattr(model, "predict") else None
