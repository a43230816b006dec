"""A tiny checkpoint and tiny data, made on the spot."""

from __future__ import annotations

import csv
import pathlib

import pytest

from modeling import BertConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *("good", "bad", "fine", "poor", "film", "food", "very", "not", "the"),
    *("was", "##s", "##ly", ",", ".", "!", "好", "坏", "电", "影"),
)


@pytest.fixture(scope="session")
def config() -> BertConfig:
    return BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        type_vocab_size=2,
        initializer_range=0.2,  # so that so small a model learns fast
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, config) -> pathlib.Path:
    """A folder as Google publishes them."""
    import keras

    from checkpointing import google
    from checkpointing.arrays import in_memory
    from modeling import BertModel

    folder = tmp_path_factory.mktemp("uncased_L-2_H-16_A-2")
    keras.utils.set_random_seed(0)
    model = BertModel(config)
    google.write_tensors(
        folder / "bert_model.ckpt",
        in_memory({weight.path: weight.numpy() for weight in model.weights}),
    )
    (folder / "bert_config.json").write_text(config.to_json_string(), "utf-8")
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in SPECIAL + WORDS), "utf-8"
    )
    return folder


@pytest.fixture(scope="session")
def write_csv():
    """A function of path, rows and header that returns the path."""

    def write(path, rows, header=("id", "text", "label")):
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    return write


@pytest.fixture(scope="session")
def train_rows() -> list[tuple[str, str, str]]:
    """Forty rows, sorted by label: good films and bad food."""
    praise = (
        "good film",
        "very good, fine film!",
        "电影好",
        "the film was fine",
    )
    blame = ("bad food", "the food was not good.", "poor, poor food", "电影坏")
    return [
        (f"{label[0]}{number}", texts[number % 4] + "!" * (number // 4), label)
        for label, texts in (("praise", praise), ("blame", blame))
        for number in range(20)
    ]


@pytest.fixture
def train_file(tmp_path, write_csv, train_rows) -> pathlib.Path:
    return write_csv(tmp_path / "train.csv", train_rows)
