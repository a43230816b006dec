"""The loss of a student.

    loss = label_weight · loss of the task, on examples with labels
         + logits_weight · divergence from the teacher's probabilities
         + hidden_weight · difference of the vectors of layers
         + attention_weight · divergence of attention maps
         + embedding_weight · difference of embeddings

The mean of a term is over the tokens of a row, then over the rows of an
example, then over examples, so that it is the same for any split of a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from bert_keras3.distillation.settings import DistillationSettings
from bert_keras3.distillation.student import Student
from bert_keras3.distillation.teacher import PREFIX, Taught, Teacher
from bert_keras3.finetuning.task import EXAMPLE_WEIGHTS, Tensors
from bert_keras3.inputs.batches import EXAMPLE
from modeling.bert import Encoded
from modeling.losses import mean_over_tokens
from modeling.shapes import Tensor

IS_LABELLED = "is_labelled"
"""Column of a training with unlabelled examples: 1 where there are targets."""

# Added to probabilities before the logarithm: masked ones are 0.
_EPSILON = 1e-9


@dataclasses.dataclass(frozen=True)
class DistillationLoss:
    """`training.step.LossFunction` of a student.

    Attributes:
        settings: weights of its terms.
        task: of both.
        teacher: of the student.
        mapping: the teacher's layer for each of the student's, from 0.
    """

    settings: DistillationSettings
    task: Taught
    teacher: Teacher
    mapping: Sequence[int] = ()

    def __call__(
        self, student: Student, features: Tensors, training: bool
    ) -> Tensor:
        """Returns the mean loss of a batch, float32."""
        settings, compared = self.settings, self.settings.compared
        features = dict(features)
        encoded = student.model.encode(features, compared, training)
        outputs = student.model.logits_of(encoded, features, training)
        total = tf.zeros([])
        if settings.label_weight:
            loss = self._of_labels(outputs, features)
            total += settings.label_weight * loss
        online = None
        if compared:
            online = self.teacher.encode(features, compared)
            total += self._of_encoders(student, encoded, online, features)
        if settings.logits_weight:
            # Weights of classes or examples are the labels' own.
            rest = {
                name: one
                for name, one in features.items()
                if name != EXAMPLE_WEIGHTS
            }
            loss = self.task.soft_loss(
                outputs,
                self._teacher_outputs(features, online),
                rest,
                settings.temperature,
            )
            total += settings.logits_weight * loss
        return total

    def _teacher_outputs(
        self, features: Tensors, online: Encoded | None
    ) -> Tensors:
        """Returns the stored outputs of a batch, or computes them."""
        names = [*self.teacher.columns]
        if all(name in features for name in names):
            return {name.removeprefix(PREFIX): features[name] for name in names}
        if online is None:
            online = self.teacher.encode(features, ())
        return self.teacher.model.logits_of(online, features, False)

    def _of_encoders(
        self,
        student: Student,
        mine: Encoded,
        theirs: Encoded,
        features: Tensors,
    ) -> Tensor:
        """Returns the terms that compare the encoders."""
        settings, mask = self.settings, features["input_mask"]
        total = tf.zeros([])

        def mean(of_tokens: Tensor) -> Tensor:
            rows = mean_over_tokens(of_tokens, mask)
            return tf.reduce_mean(rows * row_weights(features))

        def difference(a: Tensor, b: Tensor) -> Tensor:
            squares = tf.math.squared_difference(
                tf.cast(a, tf.float32), tf.cast(b, tf.float32)
            )
            # [R, D] -> [R, 1] -> [B, S, 1] -> [B, S]
            of_tokens = tf.reduce_mean(squares, -1, keepdims=True)
            return mean(mine.layout.pad(of_tokens)[:, :, 0])

        if settings.embedding_weight:
            total += settings.embedding_weight * difference(
                student.embedding_map(mine.embeddings), theirs.embeddings
            )
        for place, number in enumerate(self.mapping):
            if settings.hidden_weight:
                assert mine.layers is not None
                assert theirs.layers is not None
                loss = difference(
                    student.hidden_map(mine.layers[place]),
                    theirs.layers[number],
                )
                total += settings.hidden_weight / len(self.mapping) * loss
            if settings.attention_weight:
                assert mine.attention is not None
                assert theirs.attention is not None
                # [B, N, S, S] -> [B, N, S] -> [B, S]
                divergence = tf.reduce_mean(
                    _divergence(
                        mine.attention[place], theirs.attention[number]
                    ),
                    1,
                )
                weight = settings.attention_weight / len(self.mapping)
                total += weight * mean(divergence)
        return total

    def _of_labels(self, outputs: Tensors, features: Tensors) -> Tensor:
        """Returns the task's loss; unlabelled examples add 0 to the mean."""
        if IS_LABELLED not in features:
            return self.task.loss(outputs, features)
        is_labelled = tf.cast(features[IS_LABELLED], tf.bool)

        def of_labelled() -> Tensor:
            chosen_outputs, chosen = (
                {
                    name: tf.boolean_mask(one, is_labelled)
                    for name, one in values.items()
                }
                for values in (outputs, features)
            )
            if EXAMPLE not in features:
                share = tf.reduce_mean(tf.cast(is_labelled, tf.float32))
                return share * self.task.loss(chosen_outputs, chosen)
            # Examples are numbered anew: 0 2 2 becomes 0 1 1.
            example = chosen[EXAMPLE]
            is_next = tf.cast(example[1:] != example[:-1], example.dtype)
            chosen[EXAMPLE] = tf.concat([[0], tf.cumsum(is_next)], 0)
            number, of_all = (
                tf.cast(one[-1] + 1, tf.float32)
                for one in (chosen[EXAMPLE], features[EXAMPLE])
            )
            share = number / of_all
            return share * self.task.loss(chosen_outputs, chosen)

        return tf.cond(tf.reduce_any(is_labelled), of_labelled, lambda: 0.0)


def row_weights(features: Tensors) -> Tensor:
    """Returns what each row weighs, so that the mean is over examples.

    Args:
        features: of a batch; with the column `EXAMPLE` 0 0 1, the weights are
            3/4 3/4 3/2.

    Returns:
        float32 [R]; their mean is 1.
    """
    if EXAMPLE not in features:
        return tf.ones_like(features["input_mask"][:, 0], tf.float32)
    example = features[EXAMPLE]
    ones = tf.ones_like(example, tf.float32)
    number = tf.shape(example)[0]
    sizes = tf.gather(
        tf.math.unsorted_segment_sum(ones, example, number), example
    )
    num_examples = tf.cast(example[-1] + 1, tf.float32)
    return tf.reduce_sum(ones) / num_examples / sizes


def _divergence(mine: Tensor, theirs: Tensor) -> Tensor:
    """KL(theirs ‖ mine) of probabilities [..., C] → float32 [...]."""
    mine, theirs = (tf.cast(one, tf.float32) for one in (mine, theirs))
    logarithms = tf.math.log(theirs + _EPSILON) - tf.math.log(mine + _EPSILON)
    return tf.reduce_sum(theirs * logarithms, -1)
