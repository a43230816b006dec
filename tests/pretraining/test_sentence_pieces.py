"""ALBERT's recipe: SentencePiece, n-grams and the order of sentences."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import tensor_bundle
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.inputs import records
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining.objective import heads_for, new_model
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.checks import resolve
from bert_keras3.pretraining_data.documents import Sentence
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.pretraining_data.words import (
    WORD,
    SentencePieceEncoder,
    begins_word,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.settings import ModelChoices
from modeling import BertConfig, BertWithHeads
from tokenization.sentence_pieces import SentencePieceTokenizer

PIECES = (
    pathlib.Path(__file__).parents[1] / "reference/tokenization/spiece.model"
)


@pytest.mark.parametrize(
    ("piece", "begins"),
    [
        ("▁the", True),
        ("ing", False),
        ("▁", True),
        ("-", True),
        ("al.", False),
        ("'s", True),
        ("9", True),
        ("é", True),
        ("猫", True),
        ("<unk>", True),
    ],
)
def test_which_pieces_begin_words(piece, begins):
    assert begins_word(piece) is begins


def test_a_sentence_by_eye():
    tokenizer = SentencePieceTokenizer(PIECES)
    text = Sentence("Seventeen cats sat.")
    ids, starts = SentencePieceEncoder(tokenizer).ids_and_starts(text)
    words = []
    for piece, start in zip(
        tokenizer.convert_ids_to_tokens(ids), starts, strict=True
    ):
        if start & WORD:
            words.append(piece)
        else:
            words[-1] += piece
    assert words == ["▁seventeen", "▁cats", "▁sat", "."]


@pytest.fixture
def settings(tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    return Settings(
        input_files=(str(tmp_path / "text.txt"),),
        output_files=(str(tmp_path / "out.tfrecord"),),
        vocab_file=str(PIECES),
        masking=MaskingSettings("ngram", max_predictions_per_seq=4),
        sentence_objective="sop",
        max_seq_length=24,
        dupe_factor=4,
    )


def prepare(settings):
    return preparation.prepare(settings, Progress(), lambda line: None)


def first_record(settings):
    import tensorflow as tf

    found = records.open_records(settings.output_files[0])
    example = tf.train.Example.FromString(found[0])
    return {
        key: list(getattr(value, value.WhichOneof("kind")).value)
        for key, value in example.features.feature.items()
    }


def test_records_of_pieces(settings, text):
    """Unmasked, a record is text of the corpus in the order it is labelled."""
    unmasked = dataclasses.replace(settings, masking=MaskingSettings("none"))
    assert prepare(unmasked).num_instances > 10
    tokenizer = SentencePieceTokenizer(PIECES)
    record = first_record(unmasked)
    length = sum(record["input_mask"])
    pieces = tokenizer.convert_ids_to_tokens(record["input_ids"][:length])
    assert pieces[0] == "[CLS]"
    assert pieces[-1] == "[SEP]"
    assert pieces.count("[SEP]") == 2
    for part in "".join(pieces[1:-1]).split("[SEP]"):
        assert part.replace("▁", " ").strip() in text.replace("\n", " ")
    starts = record["word_starts"][:length]
    assert [
        begins_word(piece) for piece in pieces[1:-1] if piece[0] != "["
    ] == [
        bool(start)
        for start, piece in zip(starts[1:-1], pieces[1:-1], strict=True)
        if piece[0] != "["
    ]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--segmenter=jieba", {"segmenter": "jieba"}),
        ("--word_list=w.txt", {"word_list": "w.txt"}),
        ("--entity_list=e.txt", {"entity_list": "e.txt"}),
    ],
)
def test_words_from_elsewhere_are_refused(settings, flag, words):
    other = dataclasses.replace(
        settings, words=dataclasses.replace(settings.words, **words)
    )
    with pytest.raises(UserError, match=f"{flag} does not go with.*spiece"):
        prepare(other)


def test_entities_are_refused(settings, tmp_path):
    with pytest.raises(UserError, match="--masking=entity does not go with"):
        prepare(
            dataclasses.replace(settings, masking=MaskingSettings("entity"))
        )
    line = json.dumps({"text": "Ada wrote.", "entities": [[0, 3]]})
    (tmp_path / "text.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"'Ada wrote\.': has entities"):
        prepare(
            dataclasses.replace(
                settings, input_files=(str(tmp_path / "text.jsonl"),)
            )
        )


def test_the_original_order_has_no_sentence_pieces(settings):
    plain = dataclasses.replace(
        settings, masking=MaskingSettings(), sentence_objective="nsp"
    )
    assert resolve(plain) == "independent"
    with pytest.raises(UserError, match=r"original does not go with --vocab_f"):
        resolve(dataclasses.replace(plain, random_streams="original"))


@pytest.fixture
def albert(tmp_path):
    """A folder as Google publishes ALBERT, heads included."""
    folder = tmp_path / "albert_tiny"
    folder.mkdir()
    config = BertConfig(
        vocab_size=400,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_hidden_groups=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        type_vocab_size=2,
    )
    keras.utils.set_random_seed(0)
    model = new_model(config, heads_for("sop"))
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    tensor_bundle.write(folder / "model.ckpt-best", in_memory(weights))
    (folder / "albert_config.json").write_text(config.to_json_string())
    shutil.copy(PIECES, folder / "30k-clean.model")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("drawn", ["beforehand", "while training"])
def test_an_albert_goes_on_learning(settings, albert, job, lines, drawn):
    """From text and a published folder to a folder like it."""
    masking = settings.masking
    if drawn == "while training":
        settings = dataclasses.replace(
            settings, masking=MaskingSettings("none")
        )
    prepare(settings)
    out = pathlib.Path(job.output_dir)
    run(
        dataclasses.replace(
            job,
            model=ModelChoices(str(albert)),
            input_file=settings.output_files[0],
            eval_file=None,
            sentence_objective="sop",
            masking=masking if drawn == "while training" else None,
            training=dataclasses.replace(
                job.training, num_train_steps=2, num_warmup_steps=0
            ),
        ),
        lines,
    )
    assert any("missing: none" in line for line in lines)
    assert (out / "spiece.model").read_bytes() == PIECES.read_bytes()
    assert not (out / "vocab.txt").exists()
    figures = json.loads((out / "eval_results.json").read_text())
    assert figures["global_step"] == 2
    assert "sentence_order_accuracy" in figures
    before, after = checkpointing.read(albert), checkpointing.read(out)
    assert set(before) == set(after)
    table = "bert/embeddings/word_embeddings"
    assert (before[table] != after[table]).any()

    checkpoint = checkpointing.start_from(str(out), None, None)
    classifier = BertWithHeads(checkpoint.config, ["labels"], ("good", "bad"))
    report = checkpoint.load_into(classifier, ("output_",))
    assert "missing: output_weights, output_bias" in report.line()
