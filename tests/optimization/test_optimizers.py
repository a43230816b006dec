"""AdamW, LAMB and lazy updates against a few lines of NumPy.

The reference below knows no TensorFlow; every step moves a kernel, a bias
and a table of which only some rows are in a batch.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.optimization import OPTIMIZERS, create_optimizer, only_rows
from bert_keras3.optimization.optimizers import InverseSquareRootDecay
from bert_keras3.optimization.updates import WORD_EMBEDDINGS

RATE, DECAY, BETA_1, BETA_2, EPSILON = 0.1, 0.01, 0.9, 0.999, 1e-6
TABLE = "word_embeddings"
STARTS = {
    "kernel": np.array([[1.0, -2.0], [0.5, 3.0]]),
    "bias": np.array([0.0, 0.0]),
    TABLE: np.arange(8.0).reshape(4, 2) / 4,
}
# The rows of the table that each step's batch has; one has a row twice.
BATCHES = [[0, 1], [1, 1], [3, 1], [0, 3]]


def gradients_of(step):
    """Returns a step's gradients; the table's as one slice for each row."""
    rng = np.random.default_rng(step)
    gradients = {name: rng.normal(size=a.shape) for name, a in STARTS.items()}
    gradients[TABLE] = rng.normal(size=(2, 2))
    return gradients


@dataclasses.dataclass
class Reference:
    """What the formulas say, in float64, one weight after the other."""

    corrected: bool
    adapted: bool
    lazy: bool

    def train(self, steps):
        weights = {name: a.copy() for name, a in STARTS.items()}
        slots = {name: (0 * a, 0 * a) for name, a in STARTS.items()}
        for step in range(steps):
            gradients = gradients_of(step)
            table = np.zeros_like(STARTS[TABLE])
            np.add.at(table, BATCHES[step], gradients[TABLE])
            gradients[TABLE] = table
            for name, gradient in gradients.items():
                here = slice(None)
                if self.lazy and name == TABLE:
                    here = sorted(set(BATCHES[step]))
                self.move(
                    weights[name], *slots[name], gradient, here, name, step + 1
                )
        return weights, slots

    def move(self, weight, m, v, gradient, here, name, t):
        g = gradient[here]
        m[here] = BETA_1 * m[here] + (1 - BETA_1) * g
        v[here] = BETA_2 * v[here] + (1 - BETA_2) * g**2
        m_hat, v_hat = m[here], v[here]
        if self.corrected:
            m_hat = m_hat / (1 - BETA_1**t)
            v_hat = v_hat / (1 - BETA_2**t)
        update = m_hat / (np.sqrt(v_hat) + EPSILON)
        if name != "bias":
            update = update + DECAY * weight[here]
            if self.adapted:
                norm = np.linalg.norm(weight[here])
                update = update * norm / np.linalg.norm(update)
        weight[here] = weight[here] - RATE * update


REFERENCES = {
    "adam_weight_decay": (False, False),
    "adamw": (True, False),
    "lamb": (True, True),
}


def trained(name, lazy, steps):
    """Returns (weights, slots) after some steps of ours."""
    weights = {
        key: keras.Variable(start.astype(np.float32), name=key)
        for key, start in STARTS.items()
    }
    optimizer = OPTIMIZERS[name](
        RATE, clip_norm=None, lazy_rows=WORD_EMBEDDINGS if lazy else ()
    )
    optimizer.build(list(weights.values()))

    @tf.function
    def apply(gradients, rows):
        optimizer.apply(
            [
                tf.IndexedSlices(gradient, rows, STARTS[TABLE].shape)
                if key == TABLE
                else gradient
                for key, gradient in gradients.items()
            ]
        )

    for step in range(steps):
        apply(
            {
                key: tf.constant(gradient, tf.float32)
                for key, gradient in gradients_of(step).items()
            },
            tf.constant(BATCHES[step]),
        )
    slots = {
        key: tuple(
            next(
                slot.numpy()
                for slot in optimizer.variables
                if slot.path.endswith(f"/{key}_{kind}")
            )
            for kind in ("adam_m", "adam_v")
        )
        for key in STARTS
    }
    return {key: w.numpy() for key, w in weights.items()}, slots


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_four_steps_equal_the_formulas(name, lazy):
    corrected, adapted = REFERENCES[name]
    expected = Reference(corrected, adapted, lazy).train(len(BATCHES))
    found = trained(name, lazy, len(BATCHES))
    for ours, theirs in zip(found, expected, strict=True):
        for key in STARTS:
            np.testing.assert_allclose(
                ours[key], theirs[key], rtol=1e-5, atol=1e-7
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_that_are_not_in_the_batch_are_left_alone(name):
    """Row 2 is in no batch, row 0 not in steps 1 and 2: to the bit.

    Without `lazy_rows` decay pulls at the first and momentum moves the other.
    """
    after = [trained(name, True, steps) for steps in (1, 2, 3)]
    for weights, slots in after:
        np.testing.assert_array_equal(weights[TABLE][2], STARTS[TABLE][2])
        for slot in slots[TABLE]:
            np.testing.assert_array_equal(slot[2], [0, 0])
    for weights, slots in after[1:]:
        np.testing.assert_array_equal(weights[TABLE][0], after[0][0][TABLE][0])
        for slot, first in zip(slots[TABLE], after[0][1][TABLE], strict=True):
            np.testing.assert_array_equal(slot[0], first[0])

    eager = [trained(name, False, steps)[0][TABLE] for steps in (1, 3)]
    assert (eager[0][2] != STARTS[TABLE][2]).all()
    assert (eager[0][0] != eager[1][0]).all()


def test_a_dense_gradient_cannot_be_lazy():
    """It would move every row, and nobody would know."""
    table = keras.Variable(np.ones((4, 2), np.float32), name=TABLE)
    optimizer = create_optimizer(1e-3, 10, 0, lazy_embeddings=True)
    with pytest.raises(ValueError, match=f"{TABLE} is to be .*only_rows"):
        optimizer.apply([tf.ones((4, 2))], [table])


def test_a_tied_output_layer_moves_the_words_of_the_batch():
    """A table that is read at 0 and 0 and multiplied, with label 1.

    The loss pushes rows 2 and 3 away in every step: `only_rows` drops that,
    changes no number of the forward pass, and leaves the gradient of the
    rows that stay as it was.
    """
    table = tf.Variable(STARTS[TABLE], dtype=tf.float32)
    ids, asked = tf.constant([[0, 0]]), tf.constant([1])

    @tf.function
    def differentiated(lazily):
        with tf.GradientTape() as tape:
            vector = tf.reduce_mean(tf.gather(table, ids), 1)
            output = only_rows(table, ids, asked) if lazily else table
            logits = tf.matmul(vector, output, transpose_b=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(asked, logits)
        return logits, tape.gradient(loss, table)

    plain_logits, plain = differentiated(False)
    logits, lazy = differentiated(True)
    np.testing.assert_array_equal(logits, plain_logits)
    assert isinstance(lazy, tf.IndexedSlices)
    assert sorted(lazy.indices.numpy()) == [0, 0, 0, 1]
    plain = tf.convert_to_tensor(plain).numpy()
    assert (plain[2:] != 0).any(axis=1).all()
    np.testing.assert_allclose(
        tf.convert_to_tensor(lazy)[:2], plain[:2], rtol=1e-6
    )
    np.testing.assert_array_equal(tf.convert_to_tensor(lazy)[2:], 0)


def test_a_weight_of_zeros_moves_under_lamb():
    weight = keras.Variable(np.zeros(2, np.float32), name="kernel")
    OPTIMIZERS["lamb"](RATE, clip_norm=None).apply(
        [tf.constant([1.0, -1.0])], [weight]
    )
    np.testing.assert_allclose(weight, [-RATE, RATE], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_survives_its_config(name):
    optimizer = create_optimizer(1e-3, 10, 2, name=name, lazy_embeddings=True)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    ours, theirs = optimizer.get_config(), again.get_config()
    assert ours.pop("learning_rate") == theirs.pop("learning_rate")
    assert ours == theirs
    assert ours["name"] == name
    assert ours["bias_correction"] is (name != "adam_weight_decay")


def test_there_is_no_other_name():
    with pytest.raises(KeyError, match="sgd"):
        create_optimizer(1e-3, 10, 2, name="sgd")


def test_the_inverse_square_root_is_the_transformers_schedule():
    size, warmup = 512, 4000
    schedule = InverseSquareRootDecay((size * warmup) ** -0.5, warmup)
    for step in (0, 1, 100, 4000, 4001, 100_000):
        paper = size**-0.5 * min(step**-0.5 if step else 0, step * warmup**-1.5)
        np.testing.assert_allclose(schedule(step), paper, rtol=1e-6)
    again = InverseSquareRootDecay.from_config(schedule.get_config())
    assert float(again(7)) == float(schedule(7))
    optimizer = create_optimizer(0.1, 10, 2, schedule="inverse_sqrt")
    np.testing.assert_allclose(optimizer.learning_rate, 0.0)
    with pytest.raises(KeyError):
        create_optimizer(0.1, 10, 2, schedule="cosine")
