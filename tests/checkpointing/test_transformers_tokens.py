"""Added tokens: our ids and those of transformers' own fast tokenizer.

Needs transformers of the extra `huggingface`; torch is not needed.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import names
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.checkpointing.checkpoint import Checkpoint, read_vocabulary
from bert_keras3.checkpointing.conversion import Settings, convert
from bert_keras3.checkpointing.formats import write
from modeling.config import BertConfig

pytestmark = [
    pytest.mark.huggingface,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("transformers") is None,
        reason="needs the extra `huggingface`",
    ),
]

VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "the", "cat"),
    *("[", "]", "e", "##1", "e1", "co", "##vid", "##s", "19", "-", "<", ">"),
    *("title", "中", "文", "a", "##a"),
)
N = len(VOCABULARY)
ROWS = N + 6  # of the word embedding table
TEXTS = (
    "The [E1] cat [e1] sat <e1> </e1>",
    "COVID covids xcovid covid-19 Covid",
    "TITLE title titles [unused1] a[E1]a",
    "中covid文 café [E1][E1]  [E1]",
    "[abstract] [ABSTRACT]",
)
PIECE_TEXTS = (
    "the [E1] house [e1] of <e1> the",
    "covid covids the covid house",
    "Title Titles aTitle of the Title",
    "[E1][E1] [E1]",
)
SPECIAL = {"special": True, "normalized": False}
# What lies beside the vocabulary, by file.
FOLDERS: dict[str, dict[str, Any]] = {
    "none": {},
    "older": {"added_tokens": {"[E1]": N, "covid": N + 1, "<e1>": N + 2}},
    "older, in the list too": {
        "added_tokens": {"[E1]": N, "covid": N + 1},
        "tokenizer_config": {"additional_special_tokens": ["<e1>"]},
    },
    "in the list only": {
        "tokenizer_config": {
            "additional_special_tokens": ["[E1]", "[unused1]", "[abstract]"]
        },
    },
    "in the map": {
        "special_tokens_map": {"additional_special_tokens": ["<e1>", "title"]},
    },
    "newer": {
        "tokenizer_config": {
            "added_tokens_decoder": {
                "0": {"content": "[PAD]", **SPECIAL},
                str(N): {"content": "[E1]", **SPECIAL, "lstrip": True},
                str(N + 1): {"content": "Covid", "single_word": True},
                str(N + 2): {"content": "<e1>", "rstrip": True},
                str(N + 3): {"content": "Title", **SPECIAL},
            },
        },
    },
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    target = tmp_path_factory.mktemp("weights") / "model"
    config = BertConfig(
        vocab_size=ROWS,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=16,
    )
    shapes = names.shapes(config, ("pooler",), 0)
    arrays = {name: np.ones(s, np.float32) for name, s in shapes.items()}
    write(
        target,
        Checkpoint(in_memory(arrays), config, VOCABULARY),
        format="huggingface",
    )
    return target


def theirs(folder: pathlib.Path) -> list[list[int]]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    return [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS
    ]


def ours(folder: pathlib.Path) -> list[list[int]]:
    tokenizer = checkpointing.open(folder).tokenizer()
    return [tokenizer.encode(text) for text in TEXTS]


@pytest.mark.parametrize("name", FOLDERS)
def test_added_tokens(
    weights: pathlib.Path, tmp_path: pathlib.Path, name: str
) -> None:
    folder = tmp_path / "theirs"
    shutil.copytree(weights, folder)
    for file in ("special_tokens_map", "tokenizer_config"):
        (folder / f"{file}.json").unlink()
    for file, values in FOLDERS[name].items():
        if file == "tokenizer_config":
            values = {"tokenizer_class": "BertTokenizer", **values}
        (folder / f"{file}.json").write_text(json.dumps(values))
    expected = theirs(folder)
    assert ours(folder) == expected
    if name != "none":
        assert max(map(max, expected)) >= N
    for format_name in ("google", "huggingface", "keras"):
        convert(folder, tmp_path / format_name, Settings(format_name))
        assert ours(tmp_path / format_name) == expected
    assert theirs(tmp_path / "huggingface") == expected


def test_added_to_a_sentence_piece_model(
    tmp_path: pathlib.Path, reference: pathlib.Path
) -> None:
    """As an ALBERT that was trained on with further tokens."""
    import transformers

    pieces = (reference / "tokenization/spiece.model").read_bytes()
    count = 400
    config = BertConfig(
        vocab_size=count + 4,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=16,
        num_hidden_groups=1,
    )
    shapes = names.shapes(config, ("pooler",), 0)
    arrays = {name: np.ones(s, np.float32) for name, s in shapes.items()}
    (tmp_path / "vocabulary").mkdir()
    model = tmp_path / "vocabulary/spiece.model"
    model.write_bytes(pieces)
    source = Checkpoint(
        in_memory(arrays),
        config,
        read_vocabulary(model),
        sentence_pieces=pieces,
    )
    folder = tmp_path / "theirs"
    write(folder, source, format="huggingface")
    settings = folder / "tokenizer_config.json"
    values = json.loads(settings.read_text())
    values["added_tokens_decoder"] = {
        str(count): {"content": "[E1]", **SPECIAL},
        str(count + 1): {"content": "covid", "normalized": False},
        str(count + 2): {"content": "<e1>", **SPECIAL, "rstrip": True},
        str(count + 3): {
            "content": "Title",
            "single_word": True,
            "normalized": False,
        },
    }
    settings.write_text(json.dumps(values))
    try:
        tokenizer = transformers.AlbertTokenizer.from_pretrained(folder)
    except (ImportError, ValueError) as error:
        pytest.skip(f"transformers cannot read it here: {error}")
    expected = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in PIECE_TEXTS
    ]
    assert max(map(max, expected)) == count + 3
    for place in (folder, *(tmp_path / name for name in ("google", "keras"))):
        if place != folder:
            convert(folder, place, Settings(place.name))
        ours = checkpointing.open(place).tokenizer()
        assert [ours.encode(text) for text in PIECE_TEXTS] == expected


def test_saved_by_transformers(
    weights: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """With `tokenizer.json`, and no `vocab.txt` in newer versions."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
    tokenizer.add_tokens(
        ["covid", transformers.AddedToken("Title", single_word=True)]
    )
    tokenizer.add_tokens(["[E1]", "[abstract]"], special_tokens=True)
    folder = tmp_path / "saved"
    shutil.copytree(weights, folder)
    for file in ("vocab.txt", "special_tokens_map.json"):
        (folder / file).unlink()
    (folder / "tokenizer_config.json").unlink()
    tokenizer.save_pretrained(folder)
    expected = theirs(folder)
    assert max(map(max, expected)) == N + 3
    assert ours(folder) == expected
    convert(folder, tmp_path / "google", Settings("google"))
    assert ours(tmp_path / "google") == expected
