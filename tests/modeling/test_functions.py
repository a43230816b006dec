"""The original's public functions, on numbers that can be worked out."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import modeling


def test_gelu_is_the_tanh_form():
    x = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)
    expected = (
        0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    )
    np.testing.assert_allclose(modeling.gelu(x), expected, atol=1e-6)
    # x·Φ(x), Φ(1) = 0.8413447
    np.testing.assert_allclose(
        modeling.gelu_erf(np.float32(1.0)), 0.8413447, atol=1e-6
    )


def test_get_activation():
    assert modeling.get_activation("linear") is None
    assert modeling.get_activation("") is None
    assert modeling.get_activation(None) is None
    assert modeling.get_activation("GELU") is modeling.gelu
    assert modeling.get_activation(abs) is abs
    assert modeling.get_activation("relu")(np.float32(-1)) == 0
    with pytest.raises(ValueError, match="'swish'; known are linear, relu"):
        modeling.get_activation("swish")


def test_mask_of_keys_is_spread_over_queries():
    mask = modeling.create_attention_mask_from_input_mask(
        np.zeros((1, 3, 5)), np.array([[1, 0]], np.int32)
    )
    np.testing.assert_array_equal(mask, [[[1, 0], [1, 0], [1, 0]]])


def test_embedding_lookup_returns_vectors_of_its_table():
    ids = np.array([[2, 0], [1, 2]], np.int32)
    output, table = modeling.embedding_lookup(ids, 3, embedding_size=4)
    np.testing.assert_array_equal(output, np.asarray(table)[ids])
    assert table.path.endswith("/word_embeddings")
    side_by_side, _ = modeling.embedding_lookup(
        ids[:, :, None].repeat(2, axis=2), 3, embedding_size=4
    )
    assert side_by_side.shape == (2, 2, 8)


def test_one_hot_and_gather_agree():
    ids = np.array([[2, 0], [1, 2]], np.int32)
    keras.utils.set_random_seed(3)
    gathered, _ = modeling.embedding_lookup(ids, 3, 4)
    keras.utils.set_random_seed(3)
    multiplied, _ = modeling.embedding_lookup(
        ids, 3, 4, use_one_hot_embeddings=True
    )
    np.testing.assert_array_equal(gathered, multiplied)


def test_postprocessor_normalises_each_vector():
    output = modeling.embedding_postprocessor(
        np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32"),
        use_token_type=True,
        token_type_ids=np.zeros((2, 3), np.int32),
        dropout_prob=0.0,
    )
    np.testing.assert_allclose(np.mean(output, -1), 0, atol=1e-6)
    np.testing.assert_allclose(np.std(output, -1), 1, atol=1e-5)


def test_postprocessor_refuses_what_it_cannot_do():
    vectors = np.zeros((1, 3, 8), np.float32)
    with pytest.raises(ValueError, match="`token_type_ids` is needed"):
        modeling.embedding_postprocessor(vectors, use_token_type=True)
    with pytest.raises(ValueError, match="3 tokens"):
        modeling.embedding_postprocessor(vectors, max_position_embeddings=2)


def test_attention_to_one_key_returns_its_value():
    """With all keys but one masked, every query gets that one's value."""
    rng = np.random.default_rng(0)
    from_tensor = rng.normal(size=(1, 2, 4)).astype("float32")
    to_tensor = rng.normal(size=(1, 3, 4)).astype("float32")
    keras.utils.set_random_seed(5)
    masked = modeling.attention_layer(
        from_tensor, to_tensor, np.array([[[0, 1, 0]] * 2]), 2, 3
    )
    keras.utils.set_random_seed(5)
    alone = modeling.attention_layer(from_tensor, to_tensor[:, 1:2], None, 2, 3)
    np.testing.assert_allclose(masked, alone, atol=1e-6)
    np.testing.assert_allclose(masked[0, 0], masked[0, 1], atol=1e-6)


def test_attention_takes_matrices_and_returns_them():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    keras.utils.set_random_seed(5)
    cube = modeling.attention_layer(x, x, None, 2, 2)
    keras.utils.set_random_seed(5)
    matrix = modeling.attention_layer(
        x.reshape(6, 4),
        x.reshape(6, 4),
        None,
        2,
        2,
        do_return_2d_tensor=True,
        batch_size=2,
        from_seq_length=3,
        to_seq_length=3,
    )
    np.testing.assert_allclose(np.reshape(cube, (6, 4)), matrix, atol=1e-6)


def test_attention_refuses_what_it_cannot_do():
    cube, matrix = np.zeros((1, 2, 4)), np.zeros((2, 4))
    with pytest.raises(ValueError, match=r"rank 3.*rank 2"):
        modeling.attention_layer(cube, matrix)
    with pytest.raises(ValueError, match="`batch_size`"):
        modeling.attention_layer(matrix, matrix)


def test_transformer_model_returns_one_or_all_layers():
    x = np.zeros((2, 3, 8), np.float32)
    kwargs = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    assert modeling.transformer_model(x, **kwargs).shape == (2, 3, 8)
    layers = modeling.transformer_model(x, do_return_all_layers=True, **kwargs)
    assert [layer.shape for layer in layers] == [(2, 3, 8)] * 2
    with pytest.raises(ValueError, match=r"8 is not a multiple.*3"):
        modeling.transformer_model(x, **{**kwargs, "num_attention_heads": 3})
    with pytest.raises(ValueError, match="8 wide"):
        modeling.transformer_model(x, **{**kwargs, "hidden_size": 16})


def test_functions_take_symbols():
    ids = keras.Input((None,), dtype="int32")
    vectors, _ = modeling.embedding_lookup(ids, 9, 8)
    vectors = modeling.embedding_postprocessor(vectors, True, ids)
    output = modeling.transformer_model(vectors, None, 8, 1, 2, 16)
    assert keras.Model(ids, output)(np.ones((2, 4), np.int32)).shape == (
        2,
        4,
        8,
    )


def test_dropout_scales_what_it_keeps():
    x = np.ones((1000,), np.float32)
    assert set(np.unique(modeling.dropout(x, 0.5))) == {0.0, 2.0}
    assert modeling.dropout(x, 0.0) is x
    assert modeling.dropout(x, None) is x


def test_layer_norm_and_initializer():
    x = np.array([[1.0, 3.0]], np.float32)
    np.testing.assert_allclose(modeling.layer_norm(x), [[-1, 1]], atol=1e-6)
    np.testing.assert_allclose(
        modeling.layer_norm_and_dropout(x, 0.0), [[-1, 1]], atol=1e-6
    )
    drawn = np.asarray(modeling.create_initializer(0.1)((10000,)))
    assert np.abs(drawn).max() <= 0.2
    assert 0.08 < drawn.std() < 0.1  # truncation takes some off


def test_shapes_and_ranks():
    assert modeling.get_shape_list(np.zeros((2, 3)), expected_rank=2) == [2, 3]
    with pytest.raises(ValueError, match=r"`x` has rank 2 .*rank 1 or 3"):
        modeling.assert_rank(np.zeros((2, 3)), [1, 3], "x")

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def dynamic(x):
        rows, columns = modeling.get_shape_list(x)
        assert columns == 3
        return rows

    assert dynamic(np.zeros((5, 3), np.float32)) == 5


def test_matrix_and_back():
    x = np.arange(24.0).reshape(2, 3, 4)
    matrix = modeling.reshape_to_matrix(x)
    assert matrix.shape == (6, 4)
    np.testing.assert_array_equal(
        modeling.reshape_from_matrix(matrix, [2, 3, 4]), x
    )
    assert modeling.reshape_to_matrix(matrix) is matrix
    with pytest.raises(ValueError, match="at least rank 2"):
        modeling.reshape_to_matrix(np.zeros(3))


def test_assignment_map_holds_what_both_sides_have(reference):
    folder = reference / "small_bert"
    config = modeling.BertConfig.from_json_file(folder / "bert_config.json")
    model = modeling.BertModel(config)
    mapping, names = modeling.get_assignment_map_from_checkpoint(
        model.weights, str(folder / "bert_model.ckpt")
    )
    assert set(mapping) == {weight.path for weight in model.weights}
    assert all(mapping[name] == name for name in mapping)
    assert names["bert/pooler/dense/bias:0"] == 1
