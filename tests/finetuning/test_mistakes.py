"""Every mistake is reported in one message, and nothing was overwritten.

Each case is tried in the folder of a finished run, and with
`--overwrite_output_dir` where that could do harm.
"""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.checks import check_metric
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoded_examples import Examples
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.settings import DataChoices, Job, TrainingChoices
from bert_keras3.finetuning.task import TARGETS
from bert_keras3.finetuning.tasks import TASKS
from bert_keras3.finetuning.texts import PREDICTIONS
from bert_keras3.inputs.feature_store import Column, write_feature_store
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.run_folder import EVAL_TEXT
from tokenization.tokenizers import FullTokenizer


def snapshot(folder: pathlib.Path) -> dict[str, bytes | None]:
    """Every name below a folder, and what the files hold."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else None
        )
        for path in folder.rglob("*")
    }


@pytest.fixture
def message_of(finished, tmp_path, change, screen):
    """A function of flags: runs the job with them, returns the message.

    The output folder is that of a finished run, to be started anew; it must
    stay as it is.
    """

    def message(job: Job | None = None, **flags) -> str:
        folder = tmp_path / "finished"
        shutil.copytree(finished[0].output_dir, folder, dirs_exist_ok=True)
        before = snapshot(folder)
        flags = {"output_dir": folder, "overwrite_output_dir": True, **flags}
        with pytest.raises(UserError) as caught:
            run(change(job or finished[0], **flags), screen)
        assert snapshot(folder) == before
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return message


def assert_in_order(message: str, *parts: object) -> None:
    place = 0
    for part in parts:
        place = message.find(str(part), place)
        assert place >= 0, (part, message)


# The training file.


GOOD = "id,text,label\n1,good film,praise\n2,bad food,blame\n"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ("there is no such file",)),
        (b"", ("is empty",)),
        (b"id,text,label\n", ("only a header", "id, text, label")),
        (
            b"id,text\n1,good film and food\n2,bad food\n3,poor film\n",
            ("no column looks like a label", "--label_column", "2 'text'"),
        ),
        (
            GOOD.encode() + b"3,good, but poor,blame\n",
            ("line 4", "4 cells where 3", "good, but poor", "--delimiter"),
        ),
        (
            GOOD.encode() + b"3,very \xff,blame\n",
            ("line 4", "ff 2c 62 6c at offset 57", "utf-8", "--encoding"),
        ),
        (
            b"id,text,label\n1,good,praise\n2,fine film,praise\n",
            ("all 2 rows", "same label, 'praise'", "--label_column"),
        ),
        (
            GOOD.encode() + b"3,poor film,\n",
            ("line 4", "the label (column 'label') is empty"),
        ),
    ],
    ids=[
        *("missing", "empty", "only a header", "no label column"),
        *("too many cells", "undecodable", "one class", "empty label"),
    ],
)
def test_training_files(message_of, tmp_path, content, parts):
    path = tmp_path / "broken.csv"
    if content is not None:
        path.write_bytes(content)
    assert_in_order(message_of(train_file=str(path)), path, *parts)


def test_a_label_in_dev_that_train_lacks(message_of, tmp_path, write_csv):
    dev = write_csv(
        tmp_path / "dev.csv",
        [("d1", "good film", "praise"), ("d2", "bad food", "scorn")],
    )
    assert_in_order(
        message_of(dev_file=str(dev)),
        *(dev, "line 3", "'scorn'", "blame, praise", "Correct the row"),
    )


def test_a_test_file_is_looked_at_before_training(message_of, tmp_path, screen):
    missing = tmp_path / "new.csv"
    assert f"{missing}: there is no such file" in message_of(
        do_predict=True, test_file=str(missing)
    )
    missing.write_text("id,text\n1,good\n2,bad,food\n", encoding="utf-8")
    assert_in_order(
        message_of(do_predict=True, test_file=str(missing)),
        *(missing, "line 3", "3 cells where 2"),
    )
    assert "there is no file to predict" in message_of(do_predict=True)
    assert "step" not in screen.text


def test_a_column_that_is_not_there(message_of, finished):
    assert_in_order(
        message_of(label="mood"),
        *(finished[0].data.train_file, "--label_column=mood", "2 'text'"),
    )


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_parts_that_are_none(message_of, fraction):
    assert_in_order(
        message_of(dev_fraction=fraction), "--dev_fraction=", "give a"
    )


def test_too_few_rows_to_hold_any_out(message_of, tmp_path):
    path = tmp_path / "two.csv"
    path.write_text(GOOD, encoding="utf-8")
    assert_in_order(
        message_of(train_file=str(path)), "2 rows are too few", "--dev_file"
    )


def test_no_whole_step(message_of):
    assert_in_order(
        message_of(train_batch_size=64, num_train_epochs=1.5),
        "32 examples in batches of --train_batch_size=64",
        "--num_train_epochs=1.5",
        "not one whole step",
    )


def test_a_batch_may_be_larger_than_the_data(finished):
    """A batch then takes rows of the following epochs in, as ever."""
    from bert_keras3.finetuning.training import steps_of

    choices = TrainingChoices(train_batch_size=64, num_train_epochs=4)
    assert steps_of(32, choices) == (2, (1, 2))


# The model.


@pytest.fixture
def copy(checkpoint, tmp_path) -> pathlib.Path:
    """A checkpoint to break."""
    return pathlib.Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))


def rewrite_config(folder: pathlib.Path, **fields) -> None:
    path = folder / "bert_config.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, **fields}), encoding="utf-8")


def test_checkpoints_that_are_none(message_of, copy, tmp_path, finished):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert_in_order(
        message_of(init_checkpoint=str(nothing)), nothing, "holds no checkpoint"
    )
    absent = tmp_path / "absent" / "bert_model.ckpt"
    assert_in_order(
        message_of(init_checkpoint=str(absent)),
        absent,
        "there is no such checkpoint",
    )
    file = finished[0].data.train_file
    assert_in_order(
        message_of(init_checkpoint=file), file, "is not a checkpoint"
    )
    (copy / "bert_model.ckpt.index").write_bytes(b"no index at all")
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        *("bert_model.ckpt.index", "not the index of a TensorFlow checkpoint"),
    )


def test_checkpoints_that_are_cut_short(message_of, copy, finished, tmp_path):
    data = copy / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-100])
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        *(copy / "bert_model.ckpt", "is cut short", "fetch it again"),
    )
    keras_file = tmp_path / "model.keras"
    whole = (finished[0].output_dir / run_folder.MODEL).read_bytes()
    keras_file.write_bytes(whole[: len(whole) // 2])
    shutil.copy(copy / "bert_config.json", tmp_path)
    shutil.copy(copy / "vocab.txt", tmp_path)
    assert_in_order(
        message_of(init_checkpoint=str(keras_file)), keras_file, "cut"
    )


def test_checkpoints_that_do_not_fit_the_configuration(
    message_of, copy, screen
):
    rewrite_config(copy, intermediate_size=48)
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        copy,
        "bert/encoder/layer_0/intermediate/dense/kernel is [16, 32] in the "
        "checkpoint and [16, 48] in the model",
        "intermediate_size",
        "--allow_missing",
    )
    rewrite_config(copy, intermediate_size=32, num_hidden_layers=2)
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        *(copy, "lacks 16 of the 37 weights", "bert/encoder/layer_1"),
    )
    # All that before the data was gone through.
    assert "rows" not in screen.text


def test_configurations(message_of, copy):
    path = copy / "bert_config.json"
    path.write_text('{"vocab_size": 24,}', encoding="utf-8")
    assert_in_order(
        message_of(init_checkpoint=str(copy)), f"{path}:1: is not JSON"
    )
    path.write_text("{}", encoding="utf-8")
    assert_in_order(message_of(init_checkpoint=str(copy)), path, "vocab_size")
    absent = copy / "other.json"
    assert str(absent) in message_of(bert_config_file=str(absent))
    path.unlink()
    assert "config" in message_of(init_checkpoint=str(copy))


def test_vocabularies(message_of, copy):
    path = copy / "vocab.txt"
    tokens = path.read_text("utf-8").split("\n")[:-1]
    path.write_text("\n".join([*tokens, "one", "more"]), encoding="utf-8")
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        *(path, "has 26 lines", "`vocab_size` 24"),
    )
    without = [token for token in tokens if token != "[CLS]"]
    path.write_text("\n".join(without), encoding="utf-8")
    assert_in_order(message_of(init_checkpoint=str(copy)), path, "lacks [CLS]")
    path.unlink()
    assert_in_order(
        message_of(init_checkpoint=str(copy)),
        copy,
        "no vocab.txt",
        "--vocab_file",
    )


def test_a_shorter_vocabulary_is_told_and_not_refused(checkpoint):
    path = checkpoint / "vocab.txt"
    encoder = TextEncoder(FullTokenizer(path, True), max_seq_length=16)
    assert encoder.check(path, vocab_size=24) is None
    assert (
        encoder.check(path, vocab_size=30)
        == f"{path} has 24 tokens for `vocab_size` 30; the last 6 rows of the "
        "word embedding table are not used"
    )


def test_lengths(message_of, tmp_path, write_csv):
    assert_in_order(
        message_of(max_seq_length=33),
        *("--max_seq_length=33", "positions for 32", "at most"),
    )
    assert "use at least 3" in message_of(max_seq_length=2)
    pairs = write_csv(
        tmp_path / "pairs.csv",
        [("good", "film", "a"), ("bad", "food", "b")] * 4,
        header=("sentence1", "sentence2", "label"),
    )
    assert_in_order(
        message_of(train_file=str(pairs), max_seq_length=4),
        *("--max_seq_length=4", "pair of texts", "at least 5"),
    )


def test_no_model_at_all(message_of):
    assert "give an --init_checkpoint" in message_of(init_checkpoint=None)


# The output folder.


def test_a_folder_of_another_task(message_of, tmp_path):
    """Told before any file of the task is looked for in the empty folder."""
    message = message_of(
        overwrite_output_dir=False,
        task_name="MRPC",
        train_file=None,
        data_dir=str(tmp_path),
    )
    assert_in_order(
        message,
        *(tmp_path / "finished", "another task", "task_name was csv"),
        *("now it is mrpc", "--overwrite_output_dir"),
    )


@pytest.mark.parametrize(
    ("flags", "told_of"),
    [
        ({"learning_rate": 2e-2}, "learning_rate was 0.005 and is now 0.02"),
        ({"max_seq_length": 12}, "max_seq_length was 16 and is now 12"),
        ({"seed": 1}, "seed was 12345 and is now 1"),
    ],
)
def test_a_folder_of_a_training_with_other_settings(message_of, flags, told_of):
    message = message_of(overwrite_output_dir=False, **flags)
    assert_in_order(message, "other settings", told_of, "--overwrite_output")


def test_a_folder_with_results_of_another_program(job, screen):
    job.output_dir.mkdir()
    results = job.output_dir / EVAL_TEXT
    results.write_text("eval_accuracy = 0.9\n", encoding="utf-8")
    with pytest.raises(UserError, match="is there already, and of no run"):
        run(job, screen)
    assert snapshot(job.output_dir) == {EVAL_TEXT: b"eval_accuracy = 0.9\n"}


@pytest.mark.parametrize("name", ["vocab.txt", "predictions.csv"])
def test_a_folder_with_files_of_the_user(job, screen, name):
    job.output_dir.mkdir()
    (job.output_dir / name).write_text("mine", encoding="utf-8")
    (job.output_dir / "thesis.doc").write_text("mine too", encoding="utf-8")
    before = snapshot(job.output_dir)
    with pytest.raises(UserError) as caught:
        run(job, screen)
    assert_in_order(
        str(caught.value), job.output_dir / name, "is there already"
    )
    assert snapshot(job.output_dir) == before


def test_what_is_read_is_not_removed_first(message_of, tmp_path):
    """By `--overwrite_output_dir`; `message_of` checks that all is there."""
    folder = tmp_path / "finished"
    for flag, name in (
        ("init_checkpoint", ""),
        ("init_checkpoint", run_folder.MODEL),
        ("vocab_file", run_folder.VOCABULARY),
        ("bert_config_file", run_folder.CONFIG),
    ):
        message = message_of(**{flag: str(folder / name)})
        assert_in_order(message, flag, "another --output_dir")


def test_predictions_do_not_replace_what_is_predicted(
    message_of, tmp_path, finished
):
    path = tmp_path / "finished" / PREDICTIONS
    shutil.copytree(finished[0].output_dir, path.parent)
    path.write_text("id,text\n1,good\n", encoding="utf-8")
    message = message_of(
        do_train=False,
        do_predict=True,
        test_file=str(path),
        init_checkpoint=None,
        overwrite_output_dir=False,
    )
    assert_in_order(message, f"--test_file={path}", "would be replaced")


def test_a_folder_that_is_a_file(message_of, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    assert f"--output_dir={file}: is a file" in message_of(output_dir=file)
    assert file.read_text() == "mine"


def test_a_mistake_leaves_no_new_folder(job, change, screen):
    with pytest.raises(UserError):
        run(change(job, train_file="nowhere.csv"), screen)
    assert not job.output_dir.exists()


def test_predicting_without_a_model(job, change, screen):
    lonely = change(
        job,
        do_train=False,
        do_eval=False,
        do_predict=True,
        init_checkpoint=None,
    )
    with pytest.raises(UserError) as caught:
        run(lonely, screen)
    assert_in_order(
        str(caught.value),
        *(job.output_dir, "no trained model", "--do_train"),
    )


def test_an_unfinished_training_is_not_taken_for_a_folder_to_fill(
    message_of, tmp_path
):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    (folder / run_folder.SETTINGS).write_text("{}", encoding="utf-8")
    assert_in_order(
        message_of(
            output_dir=folder, do_train=False, overwrite_output_dir=False
        ),
        *(folder, "saved no model yet", "--do_train"),
    )


def test_damaged_settings(message_of, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / run_folder.SETTINGS).write_text('{"labels": [', encoding="utf-8")
    assert_in_order(
        message_of(output_dir=folder, overwrite_output_dir=False),
        *(folder / run_folder.SETTINGS, "is damaged"),
    )


# Flags.


def test_nothing_to_do(message_of):
    assert "nothing to do" in message_of(do_train=False, do_eval=False)


def test_metrics_that_do_not_exist(message_of, tmp_path, write_csv, screen):
    assert_in_order(
        message_of(best_metric="bleu"),
        "--best_metric=bleu",
        "accuracy, f1, loss, macro_f1, mcc",
    )
    assert "tokens each" not in screen.text  # so before the data was encoded
    three = write_csv(
        tmp_path / "three.csv",
        [(str(n), "good film" + "!" * n, str(n % 3)) for n in range(30)],
    )
    assert_in_order(
        message_of(train_file=str(three), best_metric="f1"),
        "with 3 labels has accuracy, loss, macro_f1, mcc",
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in kind_of(DataChoices()).problems
        if not TASKS[name]().own_rows
    ],
)
@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_metrics_named_are_those_there_are(name, num_labels, tmp_path):
    task = TASKS[name](tuple("abc"[:num_labels]))
    targets = {
        "single_label": np.arange(6) % num_labels,
        "multi_label": np.eye(num_labels, dtype=np.uint8)[[0, 1, 1, 0]],
        "regression": np.linspace(0, 1, 4, dtype=np.float32),
    }[name]
    rows = [(n, {TARGETS: target}) for n, target in enumerate(targets)]
    column = Column(targets.dtype.name, shape=targets.shape[1:])
    store = write_feature_store(tmp_path, {TARGETS: column}, rows)
    outputs = {"logits": np.ones((len(targets), num_labels), np.float32)}
    examples = Examples(None, store, np.arange(len(targets)), None)
    evaluation = task.evaluate(outputs, examples)
    assert set(task.metrics) == set(evaluation.scalars)
    check_metric(task.default_metric, task)


def test_class_weights_need_classes(message_of, tmp_path, write_csv):
    scores = write_csv(
        tmp_path / "scores.csv",
        [(str(n), "good film" + "!" * n, str(n / 4)) for n in range(20)],
    )
    assert_in_order(
        message_of(train_file=str(scores), class_weight="balanced"),
        *("--class_weight=balanced", "regression", "Leave it out"),
    )


def test_tensorboard_is_asked_for_before_training(message_of, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in message_of(tensorboard=True)


def test_flags_that_need_an_evaluation(message_of):
    for flag, value in (
        ("best_metric", "mcc"),
        ("eval_steps", 5),
        ("early_stopping_patience", 2),
    ):
        assert_in_order(
            message_of(do_eval=False, **{flag: value}),
            *(f"--{flag}={value}", "add --do_eval"),
        )


def test_more_parts_than_examples(message_of):
    assert_in_order(
        message_of(gradient_accumulation_steps=9),
        *("--gradient_accumulation_steps=9", "--train_batch_size=8"),
    )


@pytest.mark.parametrize(
    ("name", "too_small", "too_large"),
    [
        ("train_batch_size", 0, None),
        ("num_train_epochs", -1, None),
        ("warmup_proportion", -1, 2),
        ("gradient_accumulation_steps", 0, None),
        ("seed", -1, 2**32),
        ("eval_steps", 0, None),
        ("early_stopping_patience", 0, None),
        ("save_checkpoints_steps", 0, None),
        ("lora_rank", 0, None),
    ],
)
def test_numbers_out_of_range(message_of, name, too_small, too_large):
    for value in (too_small, float("nan"), float("inf"), too_large):
        if value is not None:
            assert f"--{name}={value}: give" in message_of(**{name: value})


@pytest.mark.parametrize("rate", [0.0, -1e-5, float("nan"), 1.0, 5.0])
def test_rates_that_teach_nothing(message_of, rate):
    assert_in_order(
        message_of(learning_rate=rate),
        *(f"--learning_rate={rate}: give", "1e-5 to 1e-4"),
    )


def test_numbers_out_of_range_of_the_job(message_of):
    assert "--eval_batch_size=0: give a number of at least 1" in message_of(
        eval_batch_size=0
    )


def test_flags_of_ones_own_files_with_a_known_task(message_of, tmp_path):
    assert_in_order(
        message_of(task_name="MRPC", data_dir=str(tmp_path)),
        *("--train_file=", "of your own", "--task_name=csv"),
    )
    assert_in_order(
        message_of(task_name="CoLA", train_file=None, data_dir=None),
        *("--task_name=CoLA", "--data_dir"),
    )
    assert_in_order(
        message_of(task_name="SNLI", train_file=None, data_dir=str(tmp_path)),
        *("--task_name=SNLI", "MRPC", "csv"),
    )


# A classifier that is taken as it is.


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ("cannot be read", "No such file")),
        (b"a\nb\nc\nd\n", ("has 4 lines", "`output_weights` have 2 rows")),
        (b"a\na\n", ("names 'a' twice",)),
        (b"a\n\xff\n", ("offset 2", "not UTF-8")),
    ],
    ids=["missing", "too long", "twice", "undecodable"],
)
def test_files_of_labels(
    finished, change, tmp_path, screen, content, parts, write_csv
):
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    job = change(
        finished[0],
        do_train=False,
        output_dir=tmp_path / "new",
        init_checkpoint=str(finished[0].output_dir),
        dev_file=finished[0].data.train_file,
        labels_file=str(path),
    )
    with pytest.raises(UserError) as caught:
        run(job, screen)
    assert_in_order(str(caught.value), f"--labels_file={path}", *parts)
    assert not job.output_dir.exists()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ({"max_seq_length": 12}, ("--max_seq_length=12", "with 16 and")),
        ({"do_lower_case": False}, ("--do_lower_case=False", "with True")),
        (
            {"problem_type": "regression"},
            ("--problem_type=regression", "with single_label"),
        ),
        ({"label_separator": ";"}, ("--label_separator=;", "without it")),
        ({"text": "body"}, ("--text_column=body", "with text and")),
        ({"text_pair": "3"}, ("--text_pair_column=3", "with none and")),
        ({"id": "none"}, ("--id_column=none", "with id and")),
        ({"vocab_file": "{tmp}/vocab.txt"}, ("--vocab_file=", "the tokens of")),
        (
            {"bert_config_file": "{tmp}/bert_config.json"},
            ("with intermediate_size 33", "with intermediate_size 32 and"),
        ),
        (
            {"labels_file": "{tmp}/labels.txt"},
            ("--labels_file=", "with the labels blame, praise and"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_flags_that_a_trained_classifier_contradicts(
    message_of, tmp_path, checkpoint, flags, parts
):
    vocab = (checkpoint / "vocab.txt").read_text("utf-8")
    (tmp_path / "vocab.txt").write_text(vocab + "more\n", "utf-8")
    config = json.loads((checkpoint / "bert_config.json").read_text("utf-8"))
    config["intermediate_size"] += 1
    (tmp_path / "bert_config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "labels.txt").write_text("praise\nblame\n", "utf-8")
    (tmp_path / "new.csv").write_text("id,text\n1,good\n", "utf-8")
    flags = {
        name: value.format(tmp=tmp_path) if isinstance(value, str) else value
        for name, value in flags.items()
    }
    message = message_of(
        **{"max_seq_length": None, **flags},
        do_train=False,
        do_eval=False,
        do_predict=True,
        init_checkpoint=None,
        overwrite_output_dir=False,
        test_file=str(tmp_path / "new.csv"),
    )
    assert_in_order(message, *parts, "as it was trained. Leave the flag out")


def test_a_checkpoint_without_a_classifier(job, change, screen):
    with pytest.raises(UserError, match="has no `output_weights`"):
        run(change(job, do_train=False), screen)
    assert not job.output_dir.exists()


def test_data_that_a_classifier_does_not_fit_is_told_before_it_is_copied(
    finished, change, tmp_path, screen, write_csv
):
    """Or else the next command would find the folder filled."""
    dev = write_csv(tmp_path / "dev.csv", [("1", "good film", "joy")])
    job = change(
        finished[0],
        do_train=False,
        output_dir=tmp_path / "new",
        init_checkpoint=str(finished[0].output_dir),
        dev_file=str(dev),
    )
    with pytest.raises(UserError, match=r"dev.csv, line 2: the label 'joy'"):
        run(job, screen)
    assert not job.output_dir.exists()


def test_a_wrong_size_of_terabytes_is_told_by_names_and_shapes_alone(
    message_of, copy
):
    rewrite_config(copy, intermediate_size=10**11)
    assert "intermediate/dense/kernel is [16, 32]" in message_of(
        init_checkpoint=str(copy)
    )
