"""Where spaces stand beside punctuation, learnt from a few texts."""

from __future__ import annotations

import pytest

from bert_keras3.translation.detokenization import (
    Detokenizer,
    Spacing,
    learn_spacing,
)
from tokenization.tokenizers import FullTokenizer

TEXTS = [
    'Ein T-Shirt, das "gut" ist.',
    'Er sagt: "Ein Hut".',
    "Das (neue) Haus.",
    "我们 去。",
    "我们去那里。",
]
WORDS = (
    "Ein T Shirt das gut ist Er sagt Hut Das neue Haus 我 们 去 那 里 。 "
    ', - " . : ( ) ! ##e ##n'
)
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
TOKENIZER = FullTokenizer.from_vocab(
    {token: number for number, token in enumerate(TOKENS)},
    do_lower_case=False,
)


@pytest.fixture(scope="module")
def detokenize():
    spacing = learn_spacing(TEXTS, TOKENIZER)
    kept = Spacing.from_dict(spacing.to_dict())
    return Detokenizer(TOKENS, kept, hidden=(0, 1, 2, 3, 4))


def shown(detokenize, *pieces):
    ids = [TOKENS.index(piece) for piece in pieces]
    return detokenize([ids]).numpy()[0].decode()


@pytest.mark.parametrize("text", TEXTS[:3])
def test_texts_come_back(detokenize, text):
    assert shown(detokenize, *TOKENIZER.tokenize(text)) == text


def test_quotation_marks_open_and_close_in_turn(detokenize):
    pieces = ["Das", '"', "Haus", '"', "ist", '"', "gut", '"', "."]
    assert shown(detokenize, *pieces) == 'Das "Haus" ist "gut".'


def test_ideographs_follow_each_other_as_in_most_texts(detokenize):
    assert shown(detokenize, *"我们去那里。") == "我们去那里。"


def test_pieces_of_a_word_join_and_special_tokens_are_hidden(detokenize):
    pieces = ["[CLS]", "gut", "##e", "##n", "Hut", ".", "[SEP]", "[SEP]"]
    assert shown(detokenize, *pieces) == "guten Hut."


def test_a_mark_that_no_text_has_stands_apart(detokenize):
    assert shown(detokenize, "Hut", "!") == "Hut !"


def test_spacing_of_another_form_is_refused():
    with pytest.raises(ValueError, match="shape"):
        Spacing.from_dict({"marks": ".", "spaces": ["01"]})
