"""Answers: make any callable answer as a classifier should, or say in one sentence why it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from frenemy.card import Access
from frenemy.errors import ModelError, nearest
from frenemy.models.timed import at_most
from frenemy.models.veiled import veil

__all__ = ["Answers", "like_probabilities"]


@final
class Answers(nn.Module):
    """Ask somebody's `model` and give its logits, `(batch, classes)`, in float32.

    What comes back may be a tensor, an object or mapping with `logits`, or a sequence or mapping in which one
    entry alone looks like logits. The model works on a copy of the input, so one that changes its input in place
    does no harm. Inputs are cast to the precision of the model's parameters, logits back to float32; only
    float64 inputs to a float64 model keep float64. Nothing is moved between devices. Gradients flow through.

    Args:
        model: any callable that takes `(batch, *shape)`; a module becomes a submodule.
        output: key, attribute or position of the logits, where the model gives more than one thing.

    Raises:
        ModelError: the model cannot be called; in a call: no logits are found, or they are not floating point
            numbers of shape `(batch, classes)` with at least 2 classes.

    A model that calls `sys.exit` raises RuntimeError instead. Where `soft` is set, the model gives probabilities and
    their logarithm is passed on: logits, up to a constant, as long as none is rounded to 0. No
    more of its answers is passed on than `access` says.

    Cost: one copy of the input a call.
    """

    def __init__(self, model: object, output: str | None = None) -> None:
        super().__init__()
        if not callable(model):
            raise ModelError(
                f"expected a model that can be called with a batch of inputs, got {_kind(model)}; "
                "give a torch.nn.Module or a function"
            )
        self.model: Callable[..., object] = model
        self.output = output
        self.limit: float | None = None
        self.soft = False
        self.access = Access.GRADIENTS
        self._notes: list[str] = []

    @property
    def notes(self) -> list[str]:
        """Sentences on what had to be handled so far."""
        return list(self._notes)

    @property
    def shown(self) -> Access:
        """The most that is seen of the answers: no more than `access`, nor than the model says that it gives."""
        return min(self.access, getattr(self.model, "access", Access.GRADIENTS), key=lambda seen: seen.rank)

    def soften(self, answers: Tensor) -> None:
        """Take the logarithm of what the model gives from now on, if some answers look like probabilities."""
        self.soft = self.shown is not Access.LABELS and like_probabilities(answers)

    def note(self, sentence: str) -> None:
        """Add a sentence to the notes, once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    def forward(self, x: Tensor) -> Tensor:
        """Give the model's logits at `x`, which stays as it is."""
        dtype = self._precision(x)
        copy = x.to(dtype, copy=True)
        before = None if copy.is_inference() else copy._version
        try:
            with at_most(self.limit):
                answer = self.model(copy)
        except SystemExit as error:
            raise RuntimeError(f"the model wants to leave the program ({error})") from error
        if before is not None and copy._version != before:
            self.note("the model changes its input in place; it is given a copy")
        logits = self._checked(self._chosen(answer, len(x)), len(x))
        if x.requires_grad and torch.is_grad_enabled() and not logits.requires_grad:
            self.note("no gradient flows from the logits to the input")
        wide = x.dtype == torch.float64 and logits.dtype == torch.float64
        if not wide and logits.dtype != torch.float32:
            self.note(f"the model answers in {_name(logits.dtype)}; its logits are judged in float32")
        answered = logits if wide else logits.to(torch.float32)
        if self.soft:
            answered = answered.clamp(min=torch.finfo(torch.float32).tiny).log()
        return veil(answered, self.access)

    def _precision(self, x: Tensor) -> torch.dtype:
        if not isinstance(self.model, nn.Module) or not x.is_floating_point():
            return x.dtype
        dtypes = (p.dtype for p in self.model.parameters() if p.is_floating_point())
        dtype = next(dtypes, x.dtype)
        if dtype != x.dtype:
            self.note(f"the model computes in {_name(dtype)}; inputs are cast from {_name(x.dtype)}")
        return dtype

    def _chosen(self, answer: object, rows: int) -> object:
        if self.output is not None:
            return _entry(answer, self.output)
        if isinstance(answer, Tensor):
            return answer
        if (logits := getattr(answer, "logits", None)) is not None:
            self.note(f"logits are taken from .logits of {_kind(answer)}")
            return logits
        entries = _entries(answer)
        if "logits" in entries:
            self.note(f"logits are taken from 'logits' of {_kind(answer)}")
            return entries["logits"]
        alike = [name for name, entry in entries.items() if _like_logits(entry, rows)]
        if len(alike) == 1:
            self.note(
                f"logits are taken from '{alike[0]}' of {_kind(answer)}, the only entry that looks like logits"
            )
            return entries[alike[0]]
        came = ", ".join(f"{name}: {_kind(entry)}" for name, entry in list(entries.items())[:8])
        raise ModelError(
            f"expected logits of shape ({rows}, classes), got {_kind(answer)}{f' of {came}' if came else ''}; "
            + ("name the entry that holds the logits with --output NAME" if came else _FIX)
        )

    def _checked(self, logits: object, rows: int) -> Tensor:
        if isinstance(logits, Tensor) and _like_logits(logits, rows):
            return logits
        place = f" in '{self.output}'" if self.output is not None else ""
        raise ModelError(
            f"expected floating point logits of shape ({rows}, classes) with at least 2 classes, "
            f"got {_kind(logits)}{place}; {_FIX}"
        )


def like_probabilities(answers: Tensor) -> bool:
    """Whether every row of some answers could be probabilities: none below 0 or above 1, and the sum is 1."""
    within = bool(((answers >= -1e-6) & (answers <= 1 + 1e-6)).all())
    return len(answers) > 0 and within and bool(((answers.sum(1) - 1).abs() < 1e-4).all())


_FIX = "let the model return one score a class for each row, or name its logits with --output NAME"


def _like_logits(entry: object, rows: int) -> bool:
    if not isinstance(entry, Tensor) or entry.ndim != 2:
        return False
    return entry.is_floating_point() and len(entry) == rows and entry.shape[1] >= 2


def _entries(answer: object) -> dict[str, object]:
    """Name what a mapping, a named tuple or a sequence holds."""
    if isinstance(answer, Mapping):
        return {str(name): entry for name, entry in answer.items()}
    if isinstance(answer, tuple | list):
        return {str(place): entry for place, entry in enumerate(answer)}
    return {}


def _entry(answer: object, output: str) -> object:
    entries = _entries(answer)
    if output in entries:
        return entries[output]
    if not isinstance(answer, Tensor) and hasattr(answer, output):
        return getattr(answer, output)
    known = list(entries) or [name for name in getattr(answer, "__dict__", {}) if not name.startswith("_")]
    hint = nearest(output, known) if known else "; leave --output out"
    raise ModelError(f"expected the model to give '{output}', got {_kind(answer)}{hint}")


def _kind(thing: object) -> str:
    if isinstance(thing, Tensor):
        return f"a {_name(thing.dtype)} tensor of shape {tuple(thing.shape)}"
    return "None" if thing is None else f"a {type(thing).__name__}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
