from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text

from tokenization import normalizer_model


def normalize(strings, string_of, texts):
    data = normalizer_model.build(strings, string_of)
    operation = tensorflow_text.FastBertNormalizer(
        model_buffer=tf.constant(np.frombuffer(data, np.uint8))
    )
    return operation.normalize(tf.constant(texts)).numpy().tolist()


def test_every_code_point_is_found():
    """Each becomes a number of its own block, so that none can be mistaken."""
    strings = [f"{number} " for number in range(1000)]
    string_of = np.arange(0x110000, dtype=np.int32) % 997
    codes = [*range(0xD800), *range(0xE000, 0x110000)]
    texts = [chr(code) for code in codes]
    assert normalize(strings, string_of, texts) == [
        strings[code % 997].encode() for code in codes
    ]


def test_characters_are_replaced_in_their_places():
    string_of = np.zeros(0x110000, np.int32)
    string_of[[ord("a"), ord("é"), ord("中"), ord("😀")]] = [1, 2, 3, 1]
    texts = ["aé中😀a", "", "b", "\0a"]
    assert normalize(["?", "x", "", " 中 "], string_of, texts) == (
        [b"x \xe4\xb8\xad xx", b"", b"?", b"?x"]
    )


def test_a_replacement_has_63_bytes_at_most():
    string_of = np.zeros(0x110000, np.int32)
    assert normalize(["x" * 63], string_of, ["a"]) == [b"x" * 63]
    with pytest.raises(ValueError, match="64 bytes, more than 63"):
        normalizer_model.build(["é" * 32], string_of)
