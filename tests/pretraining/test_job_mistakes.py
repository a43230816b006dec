"""What users get wrong with records, models and flags: one message each.

Whatever it is, the output folder is as it was before.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.pretraining.job import run
from bert_keras3.pretraining_data.settings import MaskingSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.session import NoScreen
from bert_keras3.training.settings import ModelChoices


@pytest.fixture
def refused(job):
    """A function of choices that returns the message of the refusal."""

    def message(**values):
        own = {field.name for field in dataclasses.fields(job)}
        training = {name: values.pop(name) for name in {*values} - own}
        changed = dataclasses.replace(
            job,
            training=dataclasses.replace(job.training, **training),
            **values,
        )
        folder = pathlib.Path(changed.output_dir)
        before = contents(folder)
        with pytest.raises(UserError) as refusal:
            run(changed, NoScreen())
        assert contents(folder) == before
        return str(refusal.value)

    return message


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes] | None:
    if not folder.exists():
        return None
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"do_train": False, "do_eval": False}, "nothing to do"),
        ({"input_file": None}, "--input_file is missing"),
        ({"do_eval": False}, "--eval_file=.*add --do_eval"),
        ({"train_batch_size": 0}, "--train_batch_size=0"),
        ({"learning_rate": float("nan")}, "--learning_rate=nan"),
        ({"learning_rate": 0.0}, "--learning_rate=0.0: give a number above 0"),
        ({"learning_rate": -1e-4}, "--learning_rate=-0.0001: give"),
        ({"learning_rate": 1.0}, "--learning_rate=1.0: give"),
        ({"num_train_steps": 0}, "--num_train_steps=0"),
        ({"gradient_accumulation_steps": 9}, "=9.*at most 8"),
        ({"max_eval_steps": 0}, "--max_eval_steps=0"),
        ({"sentence_objective": "next"}, "give one of nsp, sop, none"),
        ({"checkpoint_format": "npz"}, "give one of google, keras, hugging"),
        ({"masking": MaskingSettings("none")}, "is for create_pretraining"),
        (
            {"checkpoint_format": "keras", "with_optimizer": True},
            "no place for the optimizer's",
        ),
        ({"max_predictions_per_seq": 25}, "=25 does not fit into.*=24"),
        ({"max_seq_length": 2}, "--max_seq_length=2"),
        ({"model": ModelChoices()}, "there is no model"),
        ({"model": ModelChoices("nowhere")}, "nowhere: there is no such"),
    ],
)
def test_flags_that_cannot_be(refused, values, words):
    import re

    assert re.search(words, refused(**values))


def test_records_that_are_not_there(refused, tmp_path):
    missing = str(tmp_path / "none*.tfrecord")
    assert refused(input_file=missing) == (
        f"--input_file: {missing}: there is no such file"
    )
    assert refused(eval_file=missing) == (
        f"--eval_file: {missing}: there is no such file"
    )


def test_records_of_another_length(refused, train_file):
    assert refused(max_seq_length=16) == (
        f"{train_file}: its records were made with --max_seq_length=24, here "
        "--max_seq_length is 16; use --max_seq_length=24, or make the "
        "records again"
    )
    assert "--max_predictions_per_seq=4, here" in refused(
        max_predictions_per_seq=3
    )


def test_a_length_that_the_model_cannot_take(refused):
    assert "positions for 32 tokens" in refused(max_seq_length=64)


def test_a_format_that_cannot_express_the_model(
    refused, tmp_path, config, vocab_file
):
    """Told before the training, not at its first checkpoint."""
    path = tmp_path / "bert_config.json"
    values = {**config.to_dict(), "hidden_act": "relu"}
    path.write_text(json.dumps(values))
    model = ModelChoices(bert_config_file=str(path), vocab_file=str(vocab_file))
    message = refused(checkpoint_format="kerashub", model=model)
    assert "tanh form of GELU alone" in message


def test_records_for_another_purpose(refused, tmp_path, write_records):
    path = write_records(
        tmp_path / "other.tfrecord", {"input_ids": np.ones((3, 24), np.int64)}
    )
    message = refused(input_file=path)
    assert message.startswith(f"{path}: the records lack input_mask, ")
    assert "they have input_ids" in message


def test_records_without_masks_and_masks_without_records(
    refused, make_records, train_file
):
    path = make_records(1, "none")
    assert "lack masked_lm_positions" in refused(input_file=path)
    masking = MaskingSettings(max_predictions_per_seq=4)
    assert "lack word_starts" in refused(masking=masking)


def test_no_records_but_some_other_file(refused, config_file):
    assert refused(input_file=str(config_file)).startswith(
        f"{config_file}: a corrupt length at byte 0"
    )


def test_a_truncated_file_is_named_with_the_place(
    refused, train_file, tmp_path
):
    found = records.open_records(train_file)
    whole = pathlib.Path(train_file).read_bytes()
    path = tmp_path / "cut.tfrecord"
    path.write_bytes(whole[: int(found.offsets[-1]) + 5])
    # A record begins twelve bytes before its data.
    start = int(found.offsets[-1]) - 12
    assert refused(input_file=str(path)) == (
        f"{path}: a truncated record at byte {start}; make the file again, "
        "or leave such records out with --skip_corrupt"
    )


def test_corrupt_records_are_left_out_and_counted(
    job, train_file, tmp_path, lines
):
    found = records.open_records(train_file)
    whole = bytearray(pathlib.Path(train_file).read_bytes())
    for index in (1, 3):
        whole[int(found.offsets[index]) + 3] ^= 1
    path = tmp_path / "damaged.tfrecord"
    path.write_bytes(whole)
    run(
        dataclasses.replace(
            job,
            input_file=str(path),
            skip_corrupt=True,
            training=dataclasses.replace(
                job.training, num_train_steps=1, save_checkpoints_steps=5
            ),
            do_eval=False,
            eval_file=None,
        ),
        lines,
    )
    assert lines[0] == (
        f"--input_file: {len(found) - 2} records in {path}; 2 corrupt ones "
        "are left out"
    )


def test_a_vocabulary_that_does_not_fit(refused, job, tmp_path, vocab_file):
    words = vocab_file.read_text().split("\n")
    longer = tmp_path / "longer.txt"
    longer.write_text("\n".join([*words[:-1], "one", "two", ""]))
    message = refused(
        model=dataclasses.replace(job.model, vocab_file=str(longer))
    )
    rows = len(words) - 1
    assert message.startswith(
        f"{longer}: has {rows + 2} tokens, and the model rows for {rows}"
    )


def test_records_of_another_vocabulary(
    refused, job, config, tmp_path, make_records
):
    small = dataclasses.replace(job.model, vocab_file=None)
    path = tmp_path / "small.json"
    path.write_text(
        config.to_json_string().replace(
            f'"vocab_size": {config.vocab_size}', '"vocab_size": 20'
        )
    )
    message = refused(
        model=dataclasses.replace(small, bert_config_file=str(path))
    )
    assert "in `input_ids`, and the model has 20 rows" in message


def test_masks_need_a_vocabulary_with_mask(
    refused, job, tmp_path, make_records, vocab_file
):
    drawing = {
        "input_file": make_records(1, "none"),
        "masking": MaskingSettings(max_predictions_per_seq=4),
    }
    message = refused(
        model=dataclasses.replace(job.model, vocab_file=None), **drawing
    )
    assert "name it with --vocab_file" in message
    without = tmp_path / "without.txt"
    without.write_text(vocab_file.read_text().replace("[MASK]", "mask"))
    message = refused(
        model=dataclasses.replace(job.model, vocab_file=str(without)), **drawing
    )
    assert f"{without}: the vocabulary" in message
    assert "lacks [MASK]" in message


def test_a_checkpoint_of_another_size(refused, job, trained, config, tmp_path):
    path = tmp_path / "wide.json"
    path.write_text(
        config.to_json_string().replace(
            '"intermediate_size": 32', '"intermediate_size": 48'
        )
    )
    message = refused(model=ModelChoices(str(trained), str(path)))
    assert "layer_0/intermediate/dense/kernel is [16, 32]" in message
    assert "[16, 48] in the model" in message


def test_files_of_others_are_not_replaced(refused, trained, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "vocab.txt").write_text("mine\n")
    assert refused().startswith(f"{folder / 'vocab.txt'}: is there already")
    assert "is a file; give a folder" in refused(
        output_dir=folder / "vocab.txt"
    )


def test_a_checkpoint_is_not_trained_over(refused, trained, tmp_path):
    folder = tmp_path / "general"
    shutil.copytree(trained, folder)
    message = refused(
        model=ModelChoices(str(folder)),
        output_dir=folder,
        overwrite_output_dir=True,
    )
    assert "holds the --init_checkpoint" in message


def test_nothing_to_evaluate(refused):
    message = refused(do_train=False, model=ModelChoices())
    assert "has no pretrained model to evaluate" in message
