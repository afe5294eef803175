"""Hugging Face: image classifiers of transformers, with the normalisation of their processor inside."""

from __future__ import annotations

from typing import Any, Final, final

from torch import Tensor, nn

from frenemy.errors import ModelError
from frenemy.types import Inputs

__all__ = ["HuggingFace", "huggingface"]

_LEVELS: Final = 255
"""What a processor takes for the brightest; our inputs have 1 there."""


@final
class HuggingFace(nn.Module):
    """Ask an image classifier of transformers for its logits; gradients flow.

    Args:
        model: takes `pixel_values` and gives an object with `logits`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Inputs) -> Tensor:
        """Logits `(batch, classes)` of normalised images."""
        logits: Tensor = self.model(pixel_values=x).logits
        return logits


def huggingface(place: str) -> tuple[HuggingFace, list[float], list[float], list[str]]:
    """Load an image classifier from a directory, or from what the user has fetched from the hub before.

    Weights are read from safetensors only; nothing is downloaded, and
    code that comes with a model is not run.

    Args:
        place: a directory that `save_pretrained` wrote, or a name of the hub.

    Returns:
        The model; the mean and the deviation by which the processor beside it would normalise images in [0, 1]; and
        what is to be noted: images are not resized, since a threat is about the images that are given.

    Raises:
        ModelError: transformers is not installed, nothing is there, or it is no image classifier, or one whose
            processor does more.
    """
    try:
        import transformers
    except ImportError as error:
        raise ModelError('transformers is not installed; pip install "frenemy[hf]"') from error
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    here: dict[str, Any] = {"local_files_only": True}
    try:
        model = transformers.AutoModelForImageClassification.from_pretrained(
            place, **here, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"expected an image classifier of transformers with safetensors at '{place}', got: {_first(error)}; give a "
            "directory that save_pretrained wrote, or fetch it first: hf download NAME"
        ) from error
    try:
        told, _ = transformers.BaseImageProcessor.get_image_processor_dict(place, **here)
    except OSError:
        return (
            HuggingFace(model),
            [0.0],
            [1.0],
            ["no processor lies beside the model; inputs are not normalised"],
        )
    return HuggingFace(model), *_prepared(told)


def _prepared(told: dict[str, Any]) -> tuple[list[float], list[float], list[str]]:
    """What a processor does to images of 255 levels, for images in [0, 1]."""
    if told.get("rescale_offset"):
        raise ModelError(
            "expected a processor that rescales and normalises, got one with an offset; wrap the model in a "
            "FILE.py:FACTORY"
        )
    level = _LEVELS * told.get("rescale_factor", 1 / _LEVELS) if told.get("do_rescale", True) else _LEVELS
    mean, std = [0.0], [1.0]
    if told.get("do_normalize", True) and "image_mean" in told:
        mean, std = told["image_mean"], told["image_std"]
    notes = []
    if told.get("do_resize") or told.get("do_center_crop"):
        size = told.get("size") or told.get("crop_size")
        notes.append(f"its processor would bring images to {_sides(size)}; they are taken as they are")
    return [one / level for one in mean], [one / level for one in std], notes


def _sides(size: object) -> str:
    if isinstance(size, dict):
        return " x ".join(str(side) for side in size.values())
    return str(size)


def _first(error: Exception) -> str:
    return (str(error).strip().split("\n") or [""])[0][:160]
