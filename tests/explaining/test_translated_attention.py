"""The attention maps of a translator with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from bert_keras3.explaining.attention import ROLES
from bert_keras3.explaining.translated_attention import TranslationReader
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.translation.detokenization import learn_spacing
from bert_keras3.translation.run_folder import (
    TranslatorFolder,
    TranslatorSettings,
    holds_translator,
)
from modeling import BertConfig
from tokenization.tokenizers import FullTokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "x", "y"]
LAYERS = ["encoder", "encoder", "to itself", "to the text"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("translator")
    tokenizer = FullTokenizer.from_vocab(
        {token: number for number, token in enumerate(TOKENS)}
    )
    sizes = {
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "max_position_embeddings": 8,
        "initializer_range": 0.5,
    }
    settings = TranslatorSettings(
        BertConfig(9, num_hidden_layers=2, **sizes),
        BertConfig(9, num_hidden_layers=1, **sizes),
        "sinusoidal",
        True,
        True,
        8,
        learn_spacing(["x y"], tokenizer),
    )
    written = TranslatorFolder(path)
    written.write(settings, tokenizer, tokenizer)
    assert not holds_translator(path)
    written.save_weights(settings.new_model())
    assert holds_translator(path)
    return path


def test_each_layer_looks_where_it_may(folder):
    reader = TranslationReader(folder)
    found = reader.read("a b", "x y x")
    source = ("[CLS]", "a", "b", "[SEP]")
    assert found.tokens == (*source, "[CLS]", "x", "y", "x", "[SEP]")
    assert found.segment_ids == (0,) * 4 + (1,) * 5
    assert found.maps.shape == (len(LAYERS), 2, 9, 9)
    np.testing.assert_allclose(found.maps.sum(-1), 1, atol=1e-6)
    encoder, itself, to_text = found.maps[0], found.maps[2], found.maps[3]
    assert not encoder[:, :4, 4:].any()
    # Whom a layer does not compute looks at itself.
    for maps, others in ((encoder, slice(4, 9)), (itself, slice(0, 4))):
        np.testing.assert_array_equal(
            maps[:, others], np.tile(np.eye(9)[others], (2, 1, 1))
        )
    assert not itself[:, 4:, :4].any()
    assert not np.triu(itself[0, 4:, 4:], 1).any()
    assert not to_text[:, 4:, 4:].any()
    np.testing.assert_allclose(found.rollout.sum(-1), 1, atol=1e-6)


def test_roles_are_those_of_the_words_that_a_layer_computes(folder):
    reader = TranslationReader(folder)
    found = reader.read("a b", "x y x")
    roles = reader.roles(found)
    assert roles.shape == (4, 2, len(ROLES))
    words = [5, 6, 7]
    to_words = found.maps[3][:, words][:, :, [1, 2]].sum(-1).mean(-1)
    np.testing.assert_allclose(
        roles[3, :, ROLES.index("other sentence")], to_words, atol=1e-6
    )
    # Of x y x the last looks back at the first.
    same = found.maps[2][:, 7, 5] / 3
    np.testing.assert_allclose(
        roles[2, :, ROLES.index("same word")], same, atol=1e-6
    )
    assert not roles[3, :, ROLES.index("itself")].any()


def test_a_text_without_words_is_refused(folder):
    with pytest.raises(UserError, match="no token in ' '"):
        TranslationReader(folder).read(" ", "x")
