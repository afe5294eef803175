"""Trees: gradient boosted decision trees from the files of LightGBM and XGBoost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frenemy.errors import ModelError
from frenemy.models.predictor import Predictor

__all__ = ["lightgbm_file", "xgboost_file"]


def lightgbm_file(path: Path, names: Sequence[object]) -> Predictor:
    """Load a LightGBM text model; it gives probabilities.

    Raises:
        ModelError: LightGBM is not installed, or the file is none of its models.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise ModelError(_MISSING.format("LightGBM", "tables")) from error
    try:
        booster = lightgbm.Booster(model_file=str(path))
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"expected a LightGBM text model, got {path}: {str(error)[:120]}") from error
    return Predictor(lambda rows: booster.predict(rows, num_threads=0), "probabilities", names)


def xgboost_file(path: Path, names: Sequence[object]) -> Predictor:
    """Load an XGBoost model (JSON or UBJSON) that was trained for probabilities.

    Raises:
        ModelError: XGBoost is not installed, or the file is none of its models.
    """
    try:
        import xgboost
    except ImportError as error:
        raise ModelError(_MISSING.format("XGBoost", "tables")) from error
    try:
        booster = xgboost.Booster(model_file=str(path))
    except xgboost.core.XGBoostError as error:
        raise ModelError(
            f"expected an XGBoost model, got {path}: {str(error).splitlines()[0][:120]}"
        ) from error
    return Predictor(booster.inplace_predict, "probabilities", names)


_MISSING = '{} is not installed; pip install "frenemy[{}]"'
