"""A translator from two files to an export, at the size of a toy language."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest

from bert_keras3.safekeeping.errors import StoppedError, UserError
from bert_keras3.training.session import NoScreen
from bert_keras3.training.settings import Computing
from bert_keras3.translation import job as translation_job
from bert_keras3.translation.job import LossOfPairs, objective, run
from bert_keras3.translation.settings import (
    Job,
    PairFiles,
    TrainingChoices,
    TranslatorChoices,
)
from bert_keras3.translation.translator import Decoding, Translator

# Every word has one translation, and their order stays.
WORDS = {"one": "ein", "red": "rot", "dog": "hund", "cat": "katz"}
SOURCES = [
    " ".join(words) + "."
    for number in (1, 2, 3)
    for words in itertools.permutations(WORDS, number)
]
TARGETS = [
    " ".join(WORDS[word] for word in source[:-1].split()) + "."
    for source in SOURCES
]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
TOKENS += [*WORDS, *WORDS.values()]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "source.txt").write_text("\n".join(SOURCES) + "\n")
    (tmp_path / "target.txt").write_text("\n".join(TARGETS) + "\n")
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    config = {
        "vocab_size": len(TOKENS),
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_act": "relu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "max_position_embeddings": 16,
        "type_vocab_size": 1,
        "initializer_range": 0.2,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def job(folder, name="run", **more):
    training = {
        "train_batch_size": 64,
        "learning_rate": 1e-2,
        "num_train_epochs": 1.0,
        "num_warmup_steps": 10,
        **more.pop("training", {}),
    }
    model = {
        "bert_config_file": str(folder / "config.json"),
        "vocab_file": str(folder / "vocab.txt"),
        "max_seq_length": 16,
        **more.pop("model", {}),
    }
    pairs = {
        "source_file": str(folder / "source.txt"),
        "target_file": str(folder / "target.txt"),
        **more.pop("files", {}),
    }
    return Job(
        output_dir=str(folder / name),
        files=PairFiles(**pairs),
        model=TranslatorChoices(**model),
        training=TrainingChoices(**training),
        **{"do_train": True, **more},
    )


def do(wanted, texts=()):
    output = io.StringIO()
    run(wanted, NoScreen(), texts, output)
    return output.getvalue().splitlines()


def weights(files, name):
    return (files / name / "translator.safetensors").read_bytes()


@pytest.mark.slow
def test_trains_translates_and_exports(files):
    choices = {"num_train_epochs": 80.0, "learning_rate": 3e-3}
    do(job(files, training=choices))
    texts, expected = ["", *SOURCES], ["", *TARGETS]
    answers = {
        beam_size: do(
            job(files, do_train=False, beam_size=beam_size),
            [f"{text}\n" for text in texts],
        )
        for beam_size in (1, 3)
    }
    for found in answers.values():
        right = [one == two for one, two in zip(found, expected, strict=True)]
        assert right[0]
        # By chance it would be one of forty.
        assert np.mean(right) > 0.4
    asked = job(
        files, do_train=False, beam_size=3, export_dir=str(files / "saved")
    )
    do(asked)

    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    loaded = tf.saved_model.load(str(files / "saved"))
    exported = loaded.signatures["serving_default"](text=tf.constant(texts))
    shown = [one.decode() for one in exported["translation"].numpy()]
    assert shown == answers[3]
    assert (exported["score"].numpy() <= 0).all()
    with pytest.raises(UserError, match="exists and is not overwritten"):
        do(asked)


@pytest.mark.slow
def test_a_stopped_training_ends_with_the_same_bits(files, monkeypatch):
    choices = {"num_train_epochs": 3.0}
    do(job(files, "whole", training=choices))

    calls = itertools.count()
    plain = translation_job.TrainingBatches.__call__

    def stopping(self, step):
        for batch in plain(self, step):
            if next(calls) == 7:
                raise StoppedError(15, "killed")
            yield batch

    cut = job(files, "cut", training={**choices, "save_checkpoints_steps": 2})
    with monkeypatch.context() as patch:
        patch.setattr(translation_job.TrainingBatches, "__call__", stopping)
        with pytest.raises(StoppedError):
            do(cut)
    do(cut)
    assert weights(files, "cut") == weights(files, "whole")
    with pytest.raises(UserError, match="label_smoothing was"):
        do(job(files, "cut", training={**choices, "label_smoothing": 0.2}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"decoder_positions": "learned", "decoder_layers": 2}, {}),
        ({}, {"learning_rate_schedule": "inverse_sqrt"}),
        ({}, {"gradient_accumulation_steps": 2}),
        ({}, {"computing": Computing(mixed_precision="bfloat16")}),
    ],
)
def test_options_reach_the_weights(files, model, training):
    # All schedules are alike in warm-up.
    short = {"num_warmup_steps": 1}
    do(job(files, "plain", training=short))
    do(job(files, "other", model=model, training={**short, **training}))
    assert weights(files, "plain") != weights(files, "other")
    do(job(files, "other", do_train=False), ["red dog."])


@pytest.mark.slow
def test_the_encoder_starts_from_a_bert(files, small_bert):
    from bert_keras3 import checkpointing

    model = {
        "init_checkpoint": str(small_bert),
        "bert_config_file": None,
        "vocab_file": None,
        "target_vocab_file": str(files / "vocab.txt"),
        "decoder_layers": 1,
    }
    # So few and small steps that the weights hardly move.
    choices = {"num_train_epochs": 0.1, "learning_rate": 1e-9}
    do(job(files, model=model, training=choices))
    trained = Translator.open(files / "run").model
    name = "bert/encoder/layer_0/intermediate/dense/kernel"
    (found,) = (one for one in trained.weights if one.path == name)
    given = checkpointing.open(small_bert).arrays[name]
    np.testing.assert_allclose(found.numpy(), given, atol=1e-6)
    paths = {one.path for one in trained.weights}
    assert "decoder/embeddings/word_embeddings" in paths
    assert len(do(job(files, do_train=False), ["red dog."])) == 1


def test_the_loss_of_parts_is_that_of_the_whole(files):
    from bert_keras3.training.concurrency import split
    from bert_keras3.translation.pairs import (
        PER_TOKEN,
        TextPairs,
        encode_pairs,
    )
    from modeling import BertConfig
    from modeling.decoder import EncoderDecoder
    from tokenization.tokenizers import FullTokenizer

    config = BertConfig.from_json_file(files / "config.json")
    model = EncoderDecoder(config, config)
    tokenizer = FullTokenizer(files / "vocab.txt")
    pairs = encode_pairs(
        TextPairs(SOURCES, TARGETS), tokenizer, tokenizer, 16, files
    )
    batch = pairs.batch(np.arange(len(pairs)))
    loss = objective(0.1)
    whole = float(loss(model, batch, False))
    parts = split(batch, 3, PER_TOKEN)
    shares = [len(part["input_ids"]) / len(pairs) for part in parts]
    assert whole == pytest.approx(
        sum(
            share * float(loss(model, part, False))
            for share, part in zip(shares, parts, strict=True)
        ),
        rel=1e-6,
    )
    plain = float(objective(0.0)(model, batch, False))
    evaluated = LossOfPairs(model, pairs, 64, 1)()
    assert evaluated["loss"] == pytest.approx(plain, rel=1e-6)
    assert evaluated["perplexity"] == pytest.approx(np.exp(plain), rel=1e-6)


def test_mistakes_are_found_before_anything_is_written(files):
    (files / "short.txt").write_text("ein.\n")
    lacks_sep = [token for token in TOKENS if token != "[SEP]"]
    (files / "lacks.txt").write_text("\n".join(lacks_sep) + "\n")
    (files / "large.txt").write_text("\n".join([*TOKENS, "more"]) + "\n")
    cases = [
        ({"files": {"target_file": None}}, "--do_train needs --target_file"),
        (
            {"files": {"target_file": str(files / "short.txt")}},
            "40 lines and .* has 1",
        ),
        ({"model": {"vocab_file": str(files / "lacks.txt")}}, "lacks .SEP."),
        (
            {"model": {"vocab_file": str(files / "large.txt")}},
            "has 15 tokens, and the model rows for 14",
        ),
        ({"model": {"max_seq_length": 17}}, "positions for 16 tokens"),
        ({"model": {"bert_config_file": None}}, "there is no model"),
        ({"training": {"label_smoothing": 1.0}}, "label_smoothing"),
        ({"training": {"lazy_embeddings": True}}, "lazy_embeddings"),
        ({"distribution": "mirrored"}, "on one device"),
        (
            {"training": {"computing": Computing(jit_compile=True)}},
            "--jit_compile: encoder and decoder",
        ),
        ({"do_train": False}, "holds no trained translator"),
    ]
    for change, message in cases:
        with pytest.raises(UserError, match=message):
            do(job(files, **change))
        assert not (files / "run").exists(), message


@pytest.mark.slow
def test_a_damaged_folder_is_reported(files):
    do(job(files))
    path = files / "run" / "translation.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "spacing": {"marks": "."}}))
    with pytest.raises(UserError, match=r"translation\.json: is damaged"):
        Translator.open(files / "run")
    path.write_text(json.dumps(values))
    (files / "run" / "translator.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read"):
        Translator.open(files / "run", Decoding())


@pytest.mark.slow
def test_bleu_is_sacrebleus(files):
    pytest.importorskip("sacrebleu")
    do(job(files))
    asked = job(
        files,
        do_train=False,
        do_eval=True,
        files={
            "eval_source_file": str(files / "source.txt"),
            "eval_target_file": str(files / "target.txt"),
        },
    )
    do(asked)
    found = json.loads((files / "run" / "eval_results.json").read_text())
    assert 0 <= found["bleu"] <= 100
    assert "tok:13a" in found["signature"]
