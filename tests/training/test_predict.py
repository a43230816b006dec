"""Answers come back in the order of the questions."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.training.predict import Predictor


def test_the_order_is_that_of_the_positions(make):
    model, _, _ = make()
    ids = np.array([[0], [1], [2], [3], [0]], np.int32)
    expected = model({"ids": ids}, training=False).numpy()
    order = [np.array([3, 1]), np.array([4]), np.array([0, 2])]
    predictor = Predictor(model)
    found = predictor([(one, {"ids": ids[one]}) for one in order], 5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_present_weights_without_dropout(make):
    model, _, _ = make(rate=0.9)
    predictor = Predictor(model)
    batches = [(np.arange(2), {"ids": np.zeros((2, 1), np.int32)})]
    first = predictor(batches, 2)
    np.testing.assert_array_equal(first[0], first[1])
    model.dense.bias.assign([1.0, 2.0])
    np.testing.assert_allclose(predictor(batches, 2) - first, [[1, 2]] * 2)


def test_other_outputs(make):
    model, _, _ = make()
    twice = Predictor(model, lambda model, features: 2.0 * model(features))
    batches = [(np.arange(1), {"ids": np.ones((1, 2), np.int32)})]
    np.testing.assert_allclose(
        twice(batches, 1), 2.0 * Predictor(model)(batches, 1), rtol=1e-6
    )


def test_nothing_to_predict(make):
    with pytest.raises(ValueError, match="nothing to predict"):
        Predictor(make()[0])([], 0)
