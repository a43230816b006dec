"""A checkpoint is opened once, and everything of it is known then."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import google, opening, tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.safekeeping.errors import UserError
from modeling.bert import BertModel
from modeling.config import BertConfig

Arrays = dict[str, Any]
Writer = Callable[[Arrays], pathlib.Path]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is found and parsed, in that order."""
    calls: list[str] = []

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    count(opening, "locate")
    count(google, "_parse")
    return calls


def test_a_path_is_looked_up_once_and_an_index_parsed_once(
    encoder_arrays: Arrays,
    google_folder: Writer,
    model: BertModel,
    config: BertConfig,
    counted: list[str],
) -> None:
    checkpoint = checkpointing.open(google_folder(encoder_arrays))
    checkpoint.check_encoder(())
    checkpoint.load_into(model, ())
    assert checkpoint.config.to_dict() == config.to_dict()
    assert counted == ["locate", "_parse"]


@pytest.mark.parametrize(
    ("file", "content", "reported"),
    [
        (
            "tokenizer_config.json",
            '{"do_lower_case": true, "strip_accents": false}',
            "strip_accents: False beside do_lower_case: True",
        ),
        # As one that was published, in Python's notation.
        (
            "tokenizer_config.json",
            "{'do_lower_case': False, 'tokenize_chinese_chars': False}",
            "tokenize_chinese_chars: False",
        ),
        (
            "tokenizer_config.json",
            (
                '{"tokenizer_class": "BertJapaneseTokenizer", '
                '"word_tokenizer_type": "mecab", "do_lower_case": false}'
            ),
            "tokenizer_class: BertJapaneseTokenizer, word_tokenizer_type: mec",
        ),
        (
            "tokenizer.json",
            (
                '{"normalizer": {"type": "BertNormalizer", "lowercase": true, '
                '"strip_accents": false, "handle_chinese_chars": false}}'
            ),
            "handle_chinese_chars: False, strip_accents: False beside",
        ),
        (
            "tokenizer_config.json",
            (
                '{"do_lower_case": true, "strip_accents": null, '
                '"tokenize_chinese_chars": true, "tokenizer_class": '
                '"BertTokenizer", "do_basic_tokenize": true}'
            ),
            None,
        ),
        ("tokenizer_config.json", '{"strip_accents": true}', None),
    ],
)
def test_a_tokenizer_with_other_options_is_refused_by_their_names(
    encoder_arrays: Arrays,
    google_folder: Writer,
    tmp_path: pathlib.Path,
    file: str,
    content: str,
    reported: str | None,
) -> None:
    folder = google_folder(encoder_arrays)
    vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nword\n"
    (folder / "vocab.txt").write_text(vocab, "utf-8")
    (folder / file).write_text(content, "utf-8")
    checkpoint = checkpointing.open(folder)
    if reported is None:
        assert checkpoint.tokenizer().tokenize("word") == ["word"]
        return
    with pytest.raises(UserError, match=f"its tokenizer has {reported}"):
        checkpoint.tokenizer()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "vocab.txt").write_text(vocab, "utf-8")
    given = checkpointing.open(folder, vocab_file=elsewhere / "vocab.txt")
    assert given.tokenizer().tokenize("word") == ["word"]


def test_a_checkpoint_without_a_pooler_can_be_trained(
    encoder_arrays: Arrays, google_folder: Writer, model: BertModel
) -> None:
    bias = "bert/pooler/dense/bias"
    without = {n: a for n, a in encoder_arrays.items() if "pooler" not in n}
    folder = google_folder(without)
    checkpoint = checkpointing.open(folder)
    report = checkpoint.load_into(model, checkpoint.may_start_random)
    assert set(report.missing) == {bias, "bert/pooler/dense/kernel"}
    # Half of one is no pooler that is missing, but a damaged one.
    half = {**without, bias: encoder_arrays[bias]}
    tensor_bundle.write(folder / "bert_model.ckpt", in_memory(half))
    checkpoint = checkpointing.open(folder)
    with pytest.raises(UserError, match=r"lacks 1 of .*pooler/dense/kernel"):
        checkpoint.load_into(model, checkpoint.may_start_random)


def test_random_weights_are_opened_as_well(
    tmp_path: pathlib.Path, config: BertConfig
) -> None:
    config_file = tmp_path / "bert_config.json"
    config_file.write_text(config.to_json_string(), "utf-8")
    checkpoint = checkpointing.start_from(None, config_file)
    assert not checkpoint.has_weights
    assert checkpoint.config == config
