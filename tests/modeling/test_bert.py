"""`BertModel`: both ways of calling it, its names, its sizes, saving it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from bert_keras3.safekeeping.errors import UserError
from modeling import BertConfig, BertModel

IDS = np.array([[31, 51, 99], [15, 5, 0]], np.int32)
MASK = np.array([[1, 1, 1], [1, 1, 0]], np.int32)
TYPES = np.array([[0, 0, 1], [0, 1, 0]], np.int32)


@pytest.fixture
def config() -> BertConfig:
    return BertConfig(
        vocab_size=100,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=10,
        type_vocab_size=2,
    )


def number_of_parameters(config: BertConfig) -> int:
    """What the paper's description adds up to, pooler included."""
    hidden, inner = config.hidden_size, config.intermediate_size
    norm = 2 * hidden
    tables = (
        config.vocab_size
        + config.max_position_embeddings
        + config.type_vocab_size
    ) * hidden
    attention = 4 * (hidden * hidden + hidden)
    feed_forward = hidden * inner + inner + inner * hidden + hidden
    layer = attention + norm + feed_forward + norm
    pooler = hidden * hidden + hidden
    return tables + norm + config.num_hidden_layers * layer + pooler


# As published: the papers' and model cards' figures, exact ones counted from
# Google's checkpoints without `cls/*`.
PUBLISHED = {
    "bert_tiny": 4_385_920,
    "bert_mini": 11_170_560,
    "bert_small": 28_763_648,
    "bert_medium": 41_373_184,
    "bert_base": 109_482_240,
    "bert_large": 335_141_888,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_have_the_published_parameters(root, name):
    config = BertConfig.from_json_file(root / "configs" / f"{name}.json")
    assert number_of_parameters(config) == PUBLISHED[name]


def test_a_model_has_the_parameters_that_its_config_adds_up_to(config, root):
    for one in (
        config,
        BertConfig.from_json_file(root / "configs" / "bert_tiny.json"),
    ):
        assert BertModel(one).count_params() == number_of_parameters(one)


@pytest.mark.slow
def test_base_has_109482240_parameters(root):
    config = BertConfig.from_json_file(root / "bert_config.json")
    assert BertModel(config).count_params() == 109_482_240


def test_both_ways_of_calling_give_the_same(config):
    keras.utils.set_random_seed(1)
    by_mapping = BertModel(config)(
        {"input_ids": IDS, "input_mask": MASK, "segment_ids": TYPES}
    )
    keras.utils.set_random_seed(1)
    original = BertModel(
        config=config,
        is_training=False,
        input_ids=IDS,
        input_mask=MASK,
        token_type_ids=TYPES,
        use_one_hot_embeddings=True,
    )
    pairs = {
        "pooled_output": original.get_pooled_output(),
        "sequence_output": original.get_sequence_output(),
        "embedding_output": original.get_embedding_output(),
    }
    for name, output in pairs.items():
        np.testing.assert_allclose(by_mapping[name], output, atol=1e-6)
    assert len(original.get_all_encoder_layers()) == 2
    assert original.get_embedding_table().shape == (100, 8)
    assert original.get_sequence_output().shape == (2, 3, 8)
    assert original.get_pooled_output().shape == (2, 8)


def test_mask_and_types_default_to_ones_and_zeros(config):
    model = BertModel(config)
    alone = model(IDS)["sequence_output"]
    full = model(
        {
            "input_ids": IDS,
            "input_mask": np.ones_like(IDS),
            "segment_ids": np.zeros_like(IDS),
        }
    )["sequence_output"]
    np.testing.assert_allclose(alone, full, atol=1e-6)


def test_padding_does_not_change_what_is_before_it(config):
    model = BertModel(config)
    short = model(IDS[1:, :2])["sequence_output"]
    padded = model({"input_ids": IDS[1:], "input_mask": MASK[1:]})
    np.testing.assert_allclose(
        short, padded["sequence_output"][:, :2], atol=1e-6
    )


def test_on_symbols_it_becomes_part_of_a_functional_model(config, tmp_path):
    ids = keras.Input((None,), dtype="int32")
    bert = BertModel(config, False, ids)
    logits = keras.layers.Dense(3)(bert.get_pooled_output())
    model = keras.Model(ids, logits)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(IDS), again(IDS))


def test_a_reloaded_model_keeps_its_names_and_its_answers(config, tmp_path):
    model = BertModel(config)
    model.save(tmp_path / "bert.keras")
    again = keras.saving.load_model(tmp_path / "bert.keras")
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    np.testing.assert_array_equal(
        again(IDS)["pooled_output"], model(IDS)["pooled_output"]
    )


def test_weights_have_googles_names(config):
    names = [weight.path for weight in BertModel(config).weights]
    assert names[:5] == [
        "bert/embeddings/word_embeddings",
        "bert/embeddings/token_type_embeddings",
        "bert/embeddings/position_embeddings",
        "bert/embeddings/LayerNorm/gamma",
        "bert/embeddings/LayerNorm/beta",
    ]
    assert "bert/encoder/layer_1/attention/self/query/kernel" in names
    assert "bert/encoder/layer_1/attention/output/dense/bias" in names
    assert "bert/encoder/layer_0/intermediate/dense/kernel" in names
    assert "bert/encoder/layer_0/output/LayerNorm/gamma" in names
    assert names[-2:] == ["bert/pooler/dense/kernel", "bert/pooler/dense/bias"]
    in_scope = BertModel(config, scope="student").weights[0].path
    assert in_scope == "student/embeddings/word_embeddings"


def test_every_weight_starts_from_numbers_of_its_own(config):
    kernels = [
        np.asarray(weight)
        for weight in BertModel(config).weights
        if weight.path.endswith(("query/kernel", "key/kernel", "value/kernel"))
    ]
    for number, kernel in enumerate(kernels):
        for other in kernels[:number]:
            assert not np.array_equal(kernel, other)


def test_dropout_is_on_in_training_alone(config):
    model = BertModel(config)
    evaluated = model(IDS, training=False)["pooled_output"]
    np.testing.assert_array_equal(evaluated, model(IDS)["pooled_output"])
    trained = model(IDS, training=True)["pooled_output"]
    assert not np.array_equal(trained, evaluated)


def test_a_sequence_longer_than_the_positions_is_refused(config):
    with pytest.raises(ValueError, match=r"11 tokens.*`max_position.*10"):
        BertModel(config)(np.zeros((1, 11), np.int32))


def test_a_wrong_rank_is_refused_by_name(config):
    with pytest.raises(ValueError, match="`input_ids` has rank 1"):
        BertModel(config)(np.zeros((3,), np.int32))


def test_getters_without_inputs_say_what_to_do(config):
    with pytest.raises(ValueError, match="no `pooled_output` yet"):
        BertModel(config).get_pooled_output()


def test_an_impossible_config_is_refused_when_the_model_is_made(config):
    config.num_attention_heads = 3
    with pytest.raises(UserError, match=r"`hidden_size` 8.*heads` 3"):
        BertModel(config)
