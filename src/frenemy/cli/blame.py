"""Blame: whether an exception came out of the user's model, which the user mends, or out of our code."""

from __future__ import annotations

import os
import traceback

__all__ = ["blamed"]

_DOOR = os.path.join("frenemy", "models", "answers.py")


def blamed(error: BaseException) -> str | None:
    """Say in one sentence what the user's model raised; None if the exception passed no model.

    The one place where a model is called is `Answers.forward`: what was raised below it is the model's.
    """
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    doors = [place for place, name in enumerate(frames) if name.endswith(_DOOR)]
    if not doors or doors[-1] == len(frames) - 1:
        return None
    said = (str(error).strip().splitlines() or [""])[0]
    return (
        f"expected the model to answer, got {type(error).__name__}: {said[:200]} "
        f"({os.path.basename(frames[-1])}); mend the model, or leave out the examples that it cannot answer"
    )
