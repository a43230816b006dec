from __future__ import annotations

import numpy as np
import pytest

from tokenization.character_table import UNKNOWN_CHAR, character_table


def becomes(table, char):
    return table.strings[table.string_of[ord(char)]]


def test_what_characters_become():
    vocab = {"[UNK]": 0, "a": 1, "##e": 2, ",": 3, "中": 4, "σ": 5, "ð": 6}
    table = character_table(vocab, do_lower_case=True)
    assert table.string_of.dtype == np.int32
    for char, expected in {
        "a": "a",
        "Á": "a",
        "é": "e",
        "\u0301": "",
        "\u00ad": "",
        "\0": "",
        "\t": " ",
        "\u3000": " ",
        "\u2028": " ",
        ",": " , ",
        "中": " 中 ",
        # In no entry: any word with it is unknown.
        "b": UNKNOWN_CHAR,
        "國": f" {UNKNOWN_CHAR} ",
        "!": f" {UNKNOWN_CHAR} ",
        "\ud800": UNKNOWN_CHAR,
        "\U0010fffd": UNKNOWN_CHAR,
        # In an entry, beyond ASCII: a stand-in, the same for both cases.
        "Σ": becomes(table, "σ"),
        "Ð": becomes(table, "ð"),
    }.items():
        assert becomes(table, char) == expected, ascii(char)
    assert becomes(table, "σ") != becomes(table, "ð")


def test_the_vocabulary_is_written_in_the_same_characters():
    vocab = {"[UNK]": 1, "é": 2, "##é": 3, "xé": 4, "中": 6}
    table = character_table(vocab, do_lower_case=False)
    stand_in = becomes(table, "é")
    assert table.pieces == [
        "[0]",
        "[UNK]",
        stand_in,
        "##" + stand_in,
        "x" + stand_in,
        "[5]",
        "中",
    ]


@pytest.mark.parametrize(
    "token",
    [
        *["", "##", "[CLS]", "##,", "a,", "##中", "a b", "a\u2028", "\x0b"],
        *["a\xad", "x" * 201],
    ],
)
def test_what_no_text_can_match_is_left_out(token):
    table = character_table({"[UNK]": 0, token: 1, "a": 2}, True)
    assert table.pieces == ["[UNK]", "[1]", "a"]
    assert "[" not in table.alphabet
