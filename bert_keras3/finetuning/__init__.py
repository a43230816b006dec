"""Fine-tuning: labelled data → a trained model, its metrics and predictions.

Each task, such as `single_label`, is one file; `job.py` runs a job. The
estimators of scikit-learn's kind can be imported from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_keras3.finetuning.estimators import (
        BertTextClassifier as BertTextClassifier,
    )
    from bert_keras3.finetuning.estimators import (
        BertTextMultiLabelClassifier as BertTextMultiLabelClassifier,
    )
    from bert_keras3.finetuning.estimators import (
        BertTextRegressor as BertTextRegressor,
    )

__all__ = [
    "BertTextClassifier",
    "BertTextMultiLabelClassifier",
    "BertTextRegressor",
]


def __getattr__(name: str) -> Any:
    """Imports an estimator when it is asked for: scripts need none."""
    if name in __all__:
        module = importlib.import_module("bert_keras3.finetuning.estimators")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
