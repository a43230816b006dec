"""Answers come back in the order of the questions."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bert_keras3.training.predict import Predictor


def test_the_order_is_that_of_the_positions(make):
    model, _, _ = make()
    ids = np.array([[0], [1], [2], [3], [0]], np.int32)
    expected = model({"ids": ids}, training=False).numpy()
    order = [np.array([3, 1]), np.array([4]), np.array([0, 2])]
    predictor = Predictor(model)
    found = predictor([(one, {"ids": ids[one]}) for one in order], 5)["logits"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_present_weights_without_dropout(make):
    model, _, _ = make(rate=0.9)
    predictor = Predictor(model)
    batches = [(np.arange(2), {"ids": np.zeros((2, 1), np.int32)})]
    first = predictor(batches, 2)["logits"]
    np.testing.assert_array_equal(first[0], first[1])
    model.dense.bias.assign([1.0, 2.0])
    second = predictor(batches, 2)["logits"]
    np.testing.assert_allclose(second - first, [[1, 2]] * 2)


def test_outputs_have_names_and_any_shape(make):
    model, _, _ = make()
    twice = Predictor(
        model,
        lambda model, features: {
            "twice": 2.0 * model(features),
            "ids": features["ids"][:, :1, None],
        },
    )
    batches = [(np.array([1]), {"ids": np.ones((1, 2), np.int32)})]
    batches += [(np.array([0]), {"ids": np.zeros((1, 2), np.int32)})]
    found = twice(batches, 2)
    expected = Predictor(model)(batches, 2)["logits"]
    np.testing.assert_allclose(found["twice"], 2.0 * expected, rtol=1e-6)
    assert found["ids"].dtype == np.int32
    assert found["ids"].tolist() == [[[0]], [[1]]]


ROWS = [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]]


@pytest.mark.parametrize("on_disk", [False, True])
def test_outputs_per_token_come_back_in_order_without_padding(
    make, tmp_path, on_disk
):
    """Of each token its id and the id's double, in batches out of order."""
    lengths = np.array([len(row) for row in ROWS])
    predictor = Predictor(
        make()[0],
        lambda model, features: {
            "pairs": tf.stack([features["ids"], 2 * features["ids"]], -1),
            "first": features["ids"][:, 0],
        },
        per_token=("pairs",),
    )
    batches = []
    for positions in (np.array([3, 1]), np.array([0, 2])):
        ids = np.zeros((2, 4), np.int32)
        for place, row in enumerate(positions):
            ids[place, : lengths[row]] = ROWS[row]
        batches.append((positions, {"ids": ids}))
    found = predictor(batches, lengths, tmp_path if on_disk else None)
    assert found["pairs"].tolist() == [[i, 2 * i] for i in range(5, 15)]
    assert found["first"].tolist() == [5, 8, 9, 11]
    assert len(list(tmp_path.iterdir())) == (2 if on_disk else 0)


def test_an_output_that_is_not_there(make):
    predictor = Predictor(make()[0], per_token=("tags",))
    batches = [(np.arange(1), {"ids": np.ones((1, 2), np.int32)})]
    with pytest.raises(ValueError, match="tags the model has logits"):
        predictor(batches, 1)


def test_nothing_to_predict(make):
    with pytest.raises(ValueError, match="nothing to predict"):
        Predictor(make()[0])([], 0)
