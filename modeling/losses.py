"""Logits and labels → one number to make smaller, in float32.

Each loss is the original's where it has one.

    >>> import numpy as np
    >>> logits = np.array([[0.0, 0.0], [9.0, 9.0]])  # [B, C] = [2, 2]
    >>> loss = classification_loss(logits, label_ids=np.array([0, 1]))
    >>> print(f"{float(loss):.4f}")  # ln 2
    0.6931
    >>> loss = masked_lm_loss(
    ...     np.zeros((4, 5)),  # [B·P, V] with P=2, V=5
    ...     masked_lm_ids=np.array([[1, 3], [2, 0]]),
    ...     masked_lm_weights=np.array([[1, 1], [1, 0]], "float32"),
    ... )
    >>> print(f"{float(loss):.4f}")  # ln 5
    1.6094
"""

from __future__ import annotations

from keras import ops

from modeling.shapes import Tensor


def log_likelihood_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns −log softmax(logits)[label] of every prediction.

    Args:
        logits: float [B, C].
        labels: int [B].

    Returns:
        float32 [B].
    """
    # One operation, where a product with one-hot labels would go through
    # [B, C] several times; for masked words C is the vocabulary size.
    return ops.sparse_categorical_crossentropy(
        labels, ops.cast(logits, "float32"), from_logits=True
    )


def label_smoothing_loss(
    logits: Tensor, labels: Tensor, smoothing: float
) -> Tensor:
    """Returns the cross-entropy with smoothed labels of every prediction.

    Of each label, ε of its probability is shared out among all V, itself
    included (Szegedy et al. 2016, section 7). Besides the logits no tensor of
    [R, V] is kept for the backward pass.

    Args:
        logits: float [R, V].
        labels: int [R].
        smoothing: ε; 0: as `log_likelihood_loss`.

    Returns:
        float32 [R].
    """
    vocab_size = logits.shape[-1]
    rows = ops.arange(ops.shape(logits)[0])
    places = ops.stack([rows, ops.cast(labels, rows.dtype)], axis=1)

    @ops.custom_gradient
    def loss(x: Tensor) -> Tensor:
        # [R]
        total = ops.logsumexp(x, axis=-1)
        of_label = ops.squeeze(
            ops.take_along_axis(x, ops.expand_dims(labels, 1), axis=1), 1
        )

        def gradient(*upstream: Tensor) -> Tensor:
            scale = upstream[-1]
            # exp(x + ln scale - ln Σ exp x), in one pass less.
            probabilities = ops.exp(x - ops.expand_dims(total, 1))
            slopes = (probabilities - smoothing / vocab_size) * (
                ops.expand_dims(scale, 1)
            )
            # [R, V], [R, 2], [R] -> [R, V]
            return ops.scatter_update(
                slopes,
                places,
                ops.squeeze(
                    ops.take_along_axis(
                        slopes, ops.expand_dims(labels, 1), axis=1
                    ),
                    1,
                )
                - (1.0 - smoothing) * scale,
            )

        mean = ops.mean(x, axis=-1)
        value = total - (1.0 - smoothing) * of_label - smoothing * mean
        return value, gradient

    return loss(ops.cast(logits, "float32"))


def classification_loss(
    logits: Tensor, label_ids: Tensor, example_weights: Tensor | None = None
) -> Tensor:
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


def span_loss(
    start_logits: Tensor,
    end_logits: Tensor,
    start_positions: Tensor,
    end_positions: Tensor,
) -> Tensor:
    """Mean of the losses of an answer's first and last token.

    As in the original, every position counts, padding too if its logits were
    computed (original: `model_fn_builder`, `run_squad.py`).

    Args:
        start_logits: float [B, S].
        end_logits: float [B, S].
        start_positions: int32 [B].
        end_positions: int32 [B].

    Returns:
        float32 scalar.
    """
    start_loss = _mean(log_likelihood_loss(start_logits, start_positions), None)
    end_loss = _mean(log_likelihood_loss(end_logits, end_positions), None)
    return (start_loss + end_loss) / 2.0


def token_classification_loss(
    logits: Tensor, label_ids: Tensor, labels_per_row: Tensor
) -> Tensor:
    """Mean over the tokens that have a label.

    The sum is divided by B times the usual number of labels in a row, and not
    by that of this batch, so that the mean over parts of a batch is that of
    the whole.

    Args:
        logits: float [B, S, C].
        label_ids: int32 [B, S], negative where a token has no label.
        labels_per_row: float32 [B], the mean number of labels in a row of the
            training data, the same in each.

    Returns:
        float32 scalar.
    """
    # [B, S]
    losses = log_likelihood_loss(logits, ops.maximum(label_ids, 0))
    has_label = ops.cast(label_ids >= 0, "float32")
    return ops.sum(losses * has_label) / ops.sum(labels_per_row)


def choice_loss(logits: Tensor, is_right: Tensor, example: Tensor) -> Tensor:
    """Mean over examples of −log softmax of the right row's logit.

    The softmax is over the rows of an example: with the rows 0 0 1 1 1, the
    first two compete, and the last three.

    Args:
        logits: float [R], one for each row.
        is_right: int [R], 1 for the one right row of each example, else 0.
        example: int [R], the number of each row's example, from 0, rising.

    Returns:
        float32 scalar.
    """
    is_right = ops.cast(is_right, "float32")
    log_likelihood = log_softmax_of_rows(ops.cast(logits, "float32"), example)
    return -ops.sum(log_likelihood * is_right) / ops.sum(is_right)


def log_softmax_of_rows(logits: Tensor, example: Tensor) -> Tensor:
    """Logarithm of the softmax over the rows of each example.

    Args:
        logits: float32 [R].
        example: int [R], as for `choice_loss`.

    Returns:
        float32 [R].
    """
    # There are no more examples than rows; XLA needs the number at once.
    number = ops.shape(logits)[0]
    highest = ops.segment_max(ops.stop_gradient(logits), example, number)
    logits = logits - ops.take(highest, example)
    totals = ops.segment_sum(ops.exp(logits), example, number)
    # Gathered before the logarithm: unused segments are 0.
    return logits - ops.log(ops.take(totals, example))


def multi_label_loss(
    logits: Tensor, labels: Tensor, example_weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of labels that apply or not, each by itself.

    Args:
        logits: float [B, C].
        labels: float [B, C] of 0 and 1.
        example_weights: float [B], or [B, C] with a weight for every
            label, or None.

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
    logits: Tensor, targets: Tensor, example_weights: Tensor | None = None
) -> Tensor:
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


# Losses whose labels are the outputs of another model (distillation). Each is
# the Kullback-Leibler divergence of the probabilities, which is the
# cross-entropy up to what no student can change, times T², so that gradients
# do not become smaller with T (Hinton et al. 2015, section 2).


def divergence(
    logits: Tensor, teacher_logits: Tensor, temperature: float
) -> Tensor:
    """T²·KL(softmax(teacher / T) ‖ softmax(student / T)) over the last axis.

    Args:
        logits: float [..., C], the student's.
        teacher_logits: float [..., C].
        temperature: T.

    Returns:
        float32 [...].
    """
    log_probs, of_teacher = (
        ops.log_softmax(ops.cast(one, "float32") / temperature, axis=-1)
        for one in (logits, teacher_logits)
    )
    return temperature**2 * ops.sum(
        ops.exp(of_teacher) * (of_teacher - log_probs), axis=-1
    )


def soft_classification_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    example_weights: Tensor | None = None,
) -> Tensor:
    """Mean of `divergence` over the batch.

    Args:
        logits: float [B, C].
        teacher_logits: float [B, C].
        temperature: T.
        example_weights: float [B] or None.

    Returns:
        float32 scalar.
    """
    losses = divergence(logits, teacher_logits, temperature)
    return _mean(losses, example_weights)


def soft_multi_label_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    example_weights: Tensor | None = None,
) -> Tensor:
    """The same for labels that apply or not, each by itself.

    Args:
        logits: float [B, C].
        teacher_logits: float [B, C].
        temperature: T.
        example_weights: float [B] or None.

    Returns:
        float32 scalar, the mean over B and C.
    """
    # The sigmoid is a softmax over a logit and 0: [B, C] -> [B, C, 2]
    mine, theirs = (
        ops.stack([one, ops.zeros_like(one)], axis=-1)
        for one in (logits, teacher_logits)
    )
    losses = divergence(mine, theirs, temperature)
    return _mean(ops.mean(losses, axis=-1), example_weights)


def soft_token_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    input_mask: Tensor,
) -> Tensor:
    """Mean over rows of the mean of `divergence` over a row's tokens.

    Args:
        logits: float [B, S, C].
        teacher_logits: float [B, S, C].
        temperature: T.
        input_mask: int [B, S], 0 at padding.

    Returns:
        float32 scalar.
    """
    losses = divergence(logits, teacher_logits, temperature)
    return ops.mean(mean_over_tokens(losses, input_mask))


def mean_over_tokens(values: Tensor, input_mask: Tensor) -> Tensor:
    """Mean over the tokens of each row.

    Args:
        values: float [B, S]; of any value at padding.
        input_mask: int [B, S], 0 at padding.

    Returns:
        float32 [B]; 0 for a row without tokens.
    """
    is_token = ops.cast(input_mask, "bool")
    values = ops.where(is_token, ops.cast(values, "float32"), 0.0)
    number = ops.sum(ops.cast(is_token, "float32"), axis=-1)
    return ops.sum(values, axis=-1) / ops.maximum(number, 1.0)


def soft_choice_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    example: Tensor,
) -> Tensor:
    """Mean over examples, whose rows are what the softmax goes over.

    Args:
        logits: float [R], one for each row.
        teacher_logits: float [R].
        temperature: T.
        example: int [R], as for `choice_loss`.

    Returns:
        float32 scalar.
    """
    log_probs, of_teacher = (
        log_softmax_of_rows(ops.cast(one, "float32") / temperature, example)
        for one in (logits, teacher_logits)
    )
    total = ops.sum(ops.exp(of_teacher) * (of_teacher - log_probs))
    return temperature**2 * total / ops.cast(example[-1] + 1, "float32")


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    return ops.mean(losses if weights is None else losses * weights)


# So that a batch without any masked word has a loss, of 0 (the original's).
NO_PREDICTIONS = 1e-5


def masked_lm_loss(
    logits: Tensor,
    masked_lm_ids: Tensor,
    masked_lm_weights: Tensor,
    denominator: Tensor | None = None,
) -> Tensor:
    """Σ(w·ℓ) / (Σw + 1e-5) (original: `get_masked_lm_output`).

    Args:
        logits: float [B·P, V].
        masked_lm_ids: int32 [B, P].
        masked_lm_weights: float32 [B, P], 0 where a position is padding.
        denominator: float32 scalar to divide by where these are a
            micro-batch or a shard of a batch; by default Σw + 1e-5.

    Returns:
        float32 scalar.
    """
    # [B·P, V], [B·P] -> [B·P]
    losses = log_likelihood_loss(logits, ops.reshape(masked_lm_ids, (-1,)))
    weights = ops.reshape(masked_lm_weights, (-1,))
    if denominator is None:
        denominator = ops.sum(weights) + NO_PREDICTIONS
    return ops.sum(weights * losses) / denominator


def next_sentence_loss(logits: Tensor, next_sentence_labels: Tensor) -> Tensor:
    """Mean over the batch (original: `get_next_sentence_output`).

    Args:
        logits: float [B, 2].
        next_sentence_labels: int32 [B] or [B, 1]; 0 = B follows A.

    Returns:
        float32 scalar.
    """
    labels = ops.reshape(next_sentence_labels, (-1,))
    return ops.mean(log_likelihood_loss(logits, labels))
