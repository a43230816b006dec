"""`BertConfig`: defaults, files, unknown keys, mistakes."""

from __future__ import annotations

import json

import pytest

from bert_keras3.safekeeping.errors import UserError
from modeling import BertConfig, BertModel


def test_defaults_are_the_originals():
    assert BertConfig(vocab_size=7).to_dict() == {
        "vocab_size": 7,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 16,
        "initializer_range": 0.02,
    }


def test_unknown_keys_are_kept_and_written_back():
    config = BertConfig.from_dict({"vocab_size": 7, "directionality": "bidi"})
    assert config.directionality == "bidi"
    assert json.loads(config.to_json_string())["directionality"] == "bidi"


def test_json_is_sorted_indented_and_ends_in_a_newline():
    text = BertConfig(vocab_size=7).to_json_string()
    assert text.startswith('{\n  "attention_probs_dropout_prob": 0.1,\n')
    assert text.endswith('"vocab_size": 7\n}\n')


def test_a_file_reads_back_as_it_was_written(tmp_path):
    config = BertConfig(vocab_size=7, hidden_act="relu")
    (tmp_path / "c.json").write_text(config.to_json_string(), "utf-8")
    assert BertConfig.from_json_file(tmp_path / "c.json") == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 0}, "`vocab_size` .* not 0"),
        ({"vocab_size": None}, "`vocab_size` .* not None"),
        ({"vocab_size": 7, "hidden_size": 2.5}, "`hidden_size` .* not 2.5"),
        ({"vocab_size": 7, "num_hidden_layers": "12"}, "not '12'"),
        ({"vocab_size": 7, "hidden_dropout_prob": 1.0}, "`hidden_dropout_prob"),
        ({"vocab_size": 7, "initializer_range": 0}, "`initializer_range`"),
        ({"vocab_size": 7, "hidden_act": "swish"}, "unknown .*'swish'"),
        (
            {"vocab_size": 7, "hidden_size": 10, "num_attention_heads": 3},
            "`hidden_size` 10 .*`num_attention_heads` 3",
        ),
        ({"vocab_size": 7, "embedding_size": 0}, "`embedding_size` .* not 0"),
        ({"vocab_size": 7, "inner_group_num": 1.5}, "`inner_group_num`"),
        (
            {"vocab_size": 7, "num_hidden_groups": 13},
            "`num_hidden_groups` 13 .*`num_hidden_layers` 12",
        ),
        ({"hidden_size": 4}, "`vocab_size` .* not None"),
    ],
)
def test_a_mistake_names_the_field_and_the_value(fields, message):
    """Not before a model is made: until then fields may be set."""
    config = BertConfig.from_dict(fields)
    with pytest.raises(UserError, match=message):
        BertModel(config)


def test_fields_are_set_one_after_the_other():
    """As code written for the original does."""
    config = BertConfig(vocab_size=None, hidden_size=32)
    config.vocab_size = 9
    config.num_hidden_layers, config.num_attention_heads = 1, 4
    assert BertModel(config).config == config


def test_what_no_model_can_have_is_printed_all_the_same():
    """`modeling_test.py` of the original: 37 is no multiple of 12 heads."""
    config = BertConfig(vocab_size=99, hidden_size=37)
    fields = json.loads(config.to_json_string())
    assert (fields["vocab_size"], fields["hidden_size"]) == (99, 37)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "c.json:1: is not JSON"),
        ("[1]", "c.json: .* this is a list"),
        ("[" * 100_000, "c.json: cannot be read as a BERT configuration"),
        ("9" * 5000, "c.json: cannot be read as a BERT configuration"),
        ('{"vocab_size": -1}', "c.json: `vocab_size`"),
        ('{"hidden_size": 4}', "c.json: has no `vocab_size`; .* hidden_size"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        BertConfig.from_json_file(tmp_path / "c.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.json: there is no such"):
        BertConfig.from_json_file(tmp_path / "none.json")


def test_fields_with_other_programs_names(tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_text(
        '{"vocabulary_size": 7, "hidden_dim": 8, "num_heads": 2, "n_layer": 3,'
        ' "num_layers_of_head": 1, "layer_norm_epsilon": 1e-5}'
    )
    config = BertConfig.from_json_file(path)
    assert config == BertConfig.from_dict(
        {
            "vocab_size": 7,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "num_layers_of_head": 1,
            "layer_norm_eps": 1e-5,
        }
    )
    # Ours counts where it is there, and two names of one thing are no field.
    path.write_text('{"vocab_size": 7, "n_head": 5, "num_attention_heads": 12}')
    assert BertConfig.from_json_file(path).num_attention_heads == 12
