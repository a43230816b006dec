"""Logits and labels → one number to make smaller, in float32.

Each loss is the original's where it has one; where the labels come from is
the callers' matter.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def log_likelihood_loss(logits: Any, labels: Any) -> Any:
    """−log softmax(logits)[label] of every row.

    Args:
        logits: float [R, C].
        labels: int [R].

    Returns:
        float32 [R].
    """
    # One operation, where a product with one-hot labels would go through
    # [R, C] several times; of masked words C is the vocabulary.
    return ops.sparse_categorical_crossentropy(
        labels, ops.cast(logits, "float32"), from_logits=True
    )


def classification_loss(
    logits: Any, label_ids: Any, example_weights: Any = None
) -> Any:
    """Mean over the batch (original: `create_model`, `run_classifier.py`).

    Args:
        logits: float [B, C].
        label_ids: int32 [B].
        example_weights: float [B] that each example's loss is multiplied
            with before the mean over B, or None.

    Returns:
        float32 scalar.
    """
    return _mean(log_likelihood_loss(logits, label_ids), example_weights)


def multi_label_loss(
    logits: Any, labels: Any, example_weights: Any = None
) -> Any:
    """Mean cross-entropy of independent yes-or-no questions.

    Args:
        logits: float [B, C].
        labels: float [B, C] of 0 and 1.
        example_weights: float [B], or [B, C] with a weight for every
            question, or None.

    Returns:
        float32 scalar, the mean over B and C.
    """
    logits = ops.cast(logits, "float32")
    losses = ops.binary_crossentropy(
        ops.cast(labels, "float32"), logits, from_logits=True
    )
    if example_weights is not None and len(example_weights.shape) == 1:
        example_weights = ops.expand_dims(example_weights, -1)
    return _mean(losses, example_weights)


def regression_loss(
    logits: Any, targets: Any, example_weights: Any = None
) -> Any:
    """Mean squared error.

    Args:
        logits: float [B, 1].
        targets: float [B].
        example_weights: float [B] or None.

    Returns:
        float32 scalar.
    """
    predicted = ops.squeeze(ops.cast(logits, "float32"), -1)
    return _mean(ops.square(predicted - targets), example_weights)


def _mean(losses: Any, weights: Any) -> Any:
    return ops.mean(losses if weights is None else losses * weights)


# So that a batch without any masked word has a loss, of 0 (the original's).
NO_PREDICTIONS = 1e-5


def masked_lm_loss(
    logits: Any,
    masked_lm_ids: Any,
    masked_lm_weights: Any,
    denominator: Any = None,
) -> Any:
    """Σ(w·ℓ) / (Σw + 1e-5) (original: `get_masked_lm_output`).

    Args:
        logits: float [B·P, V].
        masked_lm_ids: int32 [B, P].
        masked_lm_weights: float32 [B, P], 0 where a position is padding.
        denominator: float32 scalar to divide by where these are but a part
            of a batch; by default Σw + 1e-5.

    Returns:
        float32 scalar.
    """
    losses = log_likelihood_loss(logits, ops.reshape(masked_lm_ids, (-1,)))
    weights = ops.reshape(masked_lm_weights, (-1,))
    if denominator is None:
        denominator = ops.sum(weights) + NO_PREDICTIONS
    return ops.sum(weights * losses) / denominator


def next_sentence_loss(logits: Any, next_sentence_labels: Any) -> Any:
    """Mean over the batch (original: `get_next_sentence_output`).

    Args:
        logits: float [B, 2].
        next_sentence_labels: int32 [B] or [B, 1]; 0 = B follows A.

    Returns:
        float32 scalar.
    """
    labels = ops.reshape(next_sentence_labels, (-1,))
    return ops.mean(log_likelihood_loss(logits, labels))
