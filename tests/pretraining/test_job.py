"""Whole pretraining jobs: what is learnt, written, resumed, handed on."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint, write
from bert_keras3.checkpointing.arrays import in_memory
from bert_keras3.optimization import create_optimizer
from bert_keras3.pretraining.checkpoint_files import CheckpointFiles
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining.objective import new_model
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.training import run_folder
from bert_keras3.training.session import NoScreen
from bert_keras3.training.settings import Computing, ModelChoices
from modeling import BertConfig, BertWithHeads


def change(job, **values):
    """Returns the job with other choices, of training or of its own."""
    own = {field.name for field in dataclasses.fields(job)}
    training = dataclasses.replace(
        job.training,
        **{name: values.pop(name) for name in [*values] if name not in own},
    )
    return dataclasses.replace(job, training=training, **values)


def evaluation_of(folder):
    return json.loads((folder / run_folder.EVAL_JSON).read_text())


def arrays_of(folder):
    arrays = checkpointing.read(folder)
    return {name: arrays[name] for name in arrays}


def assert_same_bits(ours, theirs):
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.slow
def test_twenty_steps_equal_the_originals(
    reference, tmp_path, job, write_records
):
    """From a TFRecord file to the checkpoint and its optimizer's moments.

    Evaluating the batch after every step gives the loss that the original
    computed at the next.
    """
    folder = reference / "small_bert"
    with np.load(folder / "twenty_steps_pretraining.npz") as arrays:
        computed = {key: arrays[key] for key in arrays.files}
    given = {
        key: array
        for key, array in computed.items()
        if "/" not in key and len(array.shape) == 2
    }
    rate, num_steps, num_warmup_steps = computed["hyper"]
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config_file = tmp_path / "bert_config.json"
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config_file.write_text(config.to_json_string())
    path = write_records(tmp_path / "pre.tfrecord", given)
    run(
        change(
            job,
            model=ModelChoices(
                str(folder / "bert_model.ckpt"), str(config_file)
            ),
            input_file=path,
            eval_file=path,
            max_seq_length=32,
            max_predictions_per_seq=5,
            train_batch_size=3,
            eval_batch_size=3,
            learning_rate=float(rate),
            num_train_steps=int(num_steps),
            num_warmup_steps=int(num_warmup_steps),
            eval_steps=1,
            with_optimizer=True,
        ),
        NoScreen(),
    )
    out = tmp_path / "out"
    lines = (out / run_folder.LOG).read_text().splitlines()
    log = [json.loads(line) for line in lines]
    losses = [
        evaluation_of(out)["before"]["loss"],
        *(line["evaluation"]["loss"] for line in log if "evaluation" in line),
    ]
    np.testing.assert_allclose(losses, computed["loss"], rtol=1e-5)
    rates = {line["step"]: line for line in log if "learning_rate" in line}
    for step in (1, 10, 20):
        assert rates[step]["loss"] == pytest.approx(
            computed["loss"][step - 1], rel=1e-5
        )
        assert rates[step]["learning_rate"] == pytest.approx(
            computed["lr"][step - 1], rel=1e-6
        )
    written = arrays_of(out)
    finals = {key[6:] for key in computed if key.startswith("final/")}
    assert set(written) == finals
    for name, array in written.items():
        kept = computed[f"final/{name}"]
        if array.shape != kept.shape:  # of which each seventh row was kept
            array = array[::7]
        np.testing.assert_allclose(array, kept, atol=5e-6, err_msg=name)


def test_held_out_loss_is_told_before_and_after(trained):
    found = evaluation_of(trained)
    assert found["global_step"] == 8
    assert found["examples_also_trained_on"] == 0
    # Eight steps may lead anywhere; test_loss_falls takes twenty.
    assert set(found["before"]) < set(found)
    assert found["masked_lm_loss"] != found["before"]["masked_lm_loss"]
    text = (trained / run_folder.EVAL_TEXT).read_text()
    assert re.fullmatch(r"(\w+ = [\d.e-]+\n)+", text)
    assert [line.split(" = ")[0] for line in text.splitlines()] == [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
    ]


def test_checkpoints_are_the_originals_files(trained, config, vocab_file):
    names = sorted(path.name for path in trained.glob("model.ckpt*"))
    assert names == [
        f"model.ckpt-{step}.{ending}"
        for step in (3, 6, 8)
        for ending in ("data-00000-of-00001", "index")
    ]
    state = (trained / "checkpoint").read_text().splitlines()
    assert state[0] == 'model_checkpoint_path: "model.ckpt-8"'
    assert len(state) == 4
    assert checkpointing.locate(trained).weights.name == "model.ckpt-8"
    assert checkpointing.bert_config(trained).to_dict() == config.to_dict()
    assert (trained / "vocab.txt").read_bytes() == vocab_file.read_bytes()


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_bits(
    trained, job, lines, monkeypatch
):
    """Killed after step 5, two steps after the last state."""
    from bert_keras3.training.step import TrainStep

    steps = []
    take = TrainStep.__call__

    def killed(self, batch):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return take(self, batch)

    monkeypatch.setattr(TrainStep, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        run(job, lines)
    run(job, lines)
    assert "resumed after step 3" in lines
    assert_same_bits(arrays_of(job.output_dir), arrays_of(trained))
    assert evaluation_of(job.output_dir) == evaluation_of(trained)
    run(job, lines)
    assert any("is complete: 8 steps" in line for line in lines)


def test_other_settings_are_refused_and_nothing_is_lost(trained, job):
    from bert_keras3.safekeeping.errors import UserError

    before = {path: path.read_bytes() for path in trained.glob("*.*")}
    again = change(job, output_dir=trained, learning_rate=0.5)
    with pytest.raises(UserError, match=r"learning_rate was 0.02 and is now"):
        run(again, NoScreen())
    assert {path: path.read_bytes() for path in trained.glob("*.*")} == before


@pytest.mark.slow
def test_only_the_last_checkpoints_are_kept(job, lines):
    run(
        change(job, keep_checkpoint_max=2, save_checkpoints_steps=1),
        lines,
    )
    found = sorted(path.name for path in job.output_dir.glob("*.index"))
    assert found == ["model.ckpt-7.index", "model.ckpt-8.index"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "huggingface"])
def test_other_formats_hold_the_same_weights(trained, job, lines, form):
    run(change(job, checkpoint_format=form), lines)
    assert checkpointing.locate(job.output_dir).format == form
    assert_same_bits(arrays_of(job.output_dir), arrays_of(trained))


WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Paris", "paris")
TOKENIZER = {
    "do_lower_case": True,
    "strip_accents": False,
    "tokenize_chinese_chars": False,
    "added_tokens_decoder": {"7": {"content": "[E1]", "special": True}},
}


def test_the_tokenizer_stays_what_it_was(config, tmp_path):
    """Case, options and added tokens, in every format and in every save."""
    model = new_model(config, ("masked_lm",))
    optimizer = create_optimizer(1e-3, 10, 0)
    optimizer.build(model.trainable_variables)
    arrays = {
        one.path: one.numpy()
        for one in model.weights
        if "float" in str(one.dtype)
    }
    source = Checkpoint(in_memory(arrays), config, WORDS)
    write(tmp_path / "start", source, format="google")

    def saved(form):
        start = checkpointing.open(tmp_path / "start")
        folder = tmp_path / f"{form}_{len(start.added_tokens)}"
        folder.mkdir()
        for _ in range(2):
            CheckpointFiles(folder, start, format=form).save(model, optimizer)
        again = checkpointing.open(folder)
        for name in ("do_lower_case", "other_options", "vocabulary"):
            assert getattr(again, name) == getattr(start, name), form
        ours, theirs = (
            [(one.id, one.options()) for one in which.added_tokens]
            for which in (again, start)
        )
        assert ours == theirs
        return again

    for form in ("google", "huggingface", "keras", "kerashub"):
        assert saved(form).do_lower_case is False  # as the words show
    settings = tmp_path / "start/tokenizer_config.json"
    settings.write_text(json.dumps(TOKENIZER))
    for form in ("google", "huggingface", "keras"):
        assert len(saved(form).other_options) == 2


def test_the_folder_is_an_init_checkpoint_for_a_classifier(trained):
    checkpoint = checkpointing.start_from(str(trained), None, None)
    classifier = BertWithHeads(checkpoint.config, ["labels"], ("good", "bad"))
    report = checkpoint.load_into(classifier, ("output_",))
    assert "missing: output_weights, output_bias" in report.line()
    np.testing.assert_array_equal(
        classifier.bert.get_embedding_table(),
        checkpointing.read(trained)["bert/embeddings/word_embeddings"],
    )


@pytest.mark.slow
def test_going_on_from_a_checkpoint_begins_where_it_ended(trained, job, lines):
    run(
        change(job, model=ModelChoices(str(trained)), learning_rate=1e-3),
        lines,
    )
    ended = evaluation_of(trained)
    began = evaluation_of(job.output_dir)["before"]
    assert began == {name: ended[name] for name in began}
    assert "missing: none" in "\n".join(lines)
    # The vocabulary beside the checkpoint goes along.
    assert (job.output_dir / "vocab.txt").exists()


def test_a_run_folder_can_be_evaluated_alone(trained, job, eval_file, lines):
    shutil.copytree(trained, job.output_dir)
    run(
        change(
            job,
            model=ModelChoices(),
            input_file=None,
            do_train=False,
            max_eval_steps=2,
        ),
        lines,
    )
    found = evaluation_of(job.output_dir)
    assert found["global_step"] == 8
    assert found["examples"] == 16
    assert found["examples_left_out"] > 0


@pytest.mark.slow
def test_what_is_evaluated_is_said(job, train_file, lines):
    run(change(job, eval_file=None, num_train_steps=2), lines)
    assert any("--input_file are evaluated" in line for line in lines)
    lines.clear()
    run(
        change(
            job,
            eval_file=train_file,
            num_train_steps=2,
            overwrite_output_dir=True,
        ),
        lines,
    )
    found = [line for line in lines if "also in --input_file" in line]
    count = evaluation_of(job.output_dir)["examples_also_trained_on"]
    assert found
    assert f"{count} of the {count} records" in found[0]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["token", "whole_word", "ngram"])
def test_masks_can_be_drawn_while_training(job, make_records, lines, strategy):
    """Equal seeds, equal masks: two runs end alike."""
    path = make_records(3, "none", sentence_objective="sop")
    drawing = change(
        job,
        input_file=path,
        eval_file=None,
        sentence_objective="sop",
        masking=MaskingSettings(strategy, max_predictions_per_seq=4),
        num_train_steps=3,
    )
    run(drawing, lines)
    found = evaluation_of(job.output_dir)
    assert "sentence_order_accuracy" in found
    run(
        change(drawing, output_dir=job.output_dir / "again"),
        lines,
    )
    assert_same_bits(
        arrays_of(job.output_dir), arrays_of(job.output_dir / "again")
    )


@pytest.mark.slow
def test_parts_of_a_batch_make_the_update_of_the_whole(
    job, config, tmp_path, lines
):
    """To rounding, without dropout; parts have unequally many masks."""
    path = tmp_path / "without_dropout.json"
    config = copy.copy(config)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    path.write_text(config.to_json_string())
    model = dataclasses.replace(job.model, bert_config_file=str(path))
    found = []
    for parts in (1, 3):
        one = change(
            job,
            model=model,
            output_dir=tmp_path / f"in_{parts}",
            gradient_accumulation_steps=parts,
        )
        run(one, lines)
        found.append(arrays_of(one.output_dir))
    for name, array in found[0].items():
        np.testing.assert_allclose(
            array, found[1][name], atol=1e-4, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])
def test_other_optimizers_end_elsewhere(trained, job, lines, optimizer):
    run(change(job, optimizer=optimizer), lines)
    found = evaluation_of(job.output_dir)
    for other in (found["before"], evaluation_of(trained)):
        assert found["masked_lm_loss"] != other["masked_lm_loss"]


@pytest.mark.slow
def test_lazy_updates_leave_words_alone_that_no_batch_had(
    trained, job, config, lines
):
    """No record has [UNK], which the original's optimizer moves all the same.

    The words that a batch only names as an answer are moved.
    """
    lazy = change(job, lazy_embeddings=True)
    start = change(lazy, num_train_steps=1, output_dir=job.output_dir / "1")
    for one in (lazy, start):
        run(one, lines)
    table = "bert/embeddings/word_embeddings"
    # At the first step the learning rate is 0: the weights of the start.
    first = arrays_of(start.output_dir)[table]
    moved = (arrays_of(lazy.output_dir)[table] != first).any(axis=1)
    unknown = 1
    assert not moved[unknown]
    assert moved[4:].all()
    assert (arrays_of(trained)[table] != first).any(axis=1)[unknown]


@pytest.mark.slow
@pytest.mark.parametrize(
    "computing",
    [
        Computing(mixed_precision="bfloat16"),
        Computing(mixed_precision="float16"),
        Computing(jit_compile=True),
        Computing(remat=True),
    ],
    ids=["bfloat16", "float16", "compiled", "remat"],
)
def test_other_ways_to_compute_learn_the_same(trained, job, lines, computing):
    run(change(job, computing=computing), lines)
    found, usual = evaluation_of(job.output_dir), evaluation_of(trained)
    for when, tolerance in ((found["before"], 1e-2), (found, 0.2)):
        whole = usual["before"] if when is found["before"] else usual
        assert when["masked_lm_loss"] == pytest.approx(
            whole["masked_lm_loss"], abs=tolerance
        )
