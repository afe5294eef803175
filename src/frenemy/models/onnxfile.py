"""ONNX: classifiers from files of the open exchange format, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frenemy.errors import ModelError
from frenemy.models.predictor import Predictor

__all__ = ["onnx_file"]


def onnx_file(path: Path, names: Sequence[object]) -> Predictor:
    """Load an ONNX model; its first output with scores for all classes is taken, or its labels where it has none.

    Raises:
        ModelError: onnxruntime is not installed, or the file is no model with one input and such an output.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError('onnxruntime is not installed; pip install "frenemy[onnx]"') from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    except Exception as error:
        raise ModelError(f"expected an ONNX model, got {path}: {str(error).splitlines()[0][:160]}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise ModelError(
            f"expected an ONNX model with one input, got {len(inputs)}; wrap it in a FILE.py:FACTORY"
        )
    scores = [
        out.name for out in outputs if out.type in ("tensor(float)", "tensor(double)", "tensor(float16)")
    ]
    wanted = (scores or [outputs[0].name])[:1]
    fixed = inputs[0].shape[0] if inputs[0].shape and isinstance(inputs[0].shape[0], int) else 0
    dtype = {"tensor(double)": np.float64, "tensor(float16)": np.float16}.get(inputs[0].type, np.float32)

    def ask(rows: NDArray[np.float32]) -> Any:
        parts = np.array_split(rows, -(-len(rows) // fixed)) if fixed else [rows]
        return np.concatenate(
            [session.run(wanted, {inputs[0].name: part.astype(dtype)})[0] for part in parts]
        )

    return Predictor(ask, "scores" if scores else "labels", names, flat=len(inputs[0].shape) == 2)
