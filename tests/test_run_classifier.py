"""The command line itself: the original's commands, exits, and real kills."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bert_keras3.commands import run_classifier
from bert_keras3.safekeeping.errors import UserError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("good", "bad", "film", "food", "not", "the", "was", "好", "坏", "电")

# What of a log is another in each run.
OF_MACHINE = ("seconds", "peak_memory")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> pathlib.Path:
    """A tiny model in Google's files, with the length of the examples."""
    import keras

    from bert_keras3.checkpointing import tensor_bundle
    from bert_keras3.checkpointing.arrays import in_memory
    from modeling import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("uncased_L-1_H-8_A-2")
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        type_vocab_size=2,
        initializer_range=0.2,  # so that so small a model learns
    )
    keras.utils.set_random_seed(0)
    tensor_bundle.write(
        folder / "bert_model.ckpt",
        in_memory({w.path: w.numpy() for w in BertModel(config).weights}),
    )
    (folder / "bert_config.json").write_text(config.to_json_string(), "utf-8")
    (folder / "vocab.txt").write_text("\n".join(SPECIAL + WORDS), "utf-8")
    return folder


@pytest.fixture
def script():
    """A function that runs the script in this process, flag by flag."""
    values = run_classifier.COMMAND.values

    def run(*flags):
        for name in values:
            values[name].unparse()
        values(["run_classifier.py", *map(str, flags)])
        run_classifier.main()

    return run


def command(*flags) -> list[str]:
    return [sys.executable, "run_classifier.py", *map(str, flags)]


def table(path: pathlib.Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ("\t".join(map(str, row)) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


# GLUE-like files of forty rows, as each task has them.

TEXTS = (("the food was good", 1), ("the food was bad", 0)) * 20
NLI = ("contradiction", "entailment", "neutral")


def write_mrpc(folder: pathlib.Path) -> None:
    header = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
    rows = [
        (label, n, n, f'"{text}', "good film")
        for n, (text, label) in enumerate(TEXTS)
    ]
    table(folder / "train.tsv", [header, *rows])
    table(folder / "dev.tsv", [header, *rows[:10]])
    table(folder / "test.tsv", [("index", *header[1:]), *rows[:3]])


def write_cola(folder: pathlib.Path) -> None:
    rows = [("gj04", label, "*", text) for text, label in TEXTS]
    table(folder / "train.tsv", rows)
    table(folder / "dev.tsv", rows[:10])
    tests = [(n, text) for n, (text, _) in enumerate(TEXTS[:3])]
    table(folder / "test.tsv", [("index", "sentence"), *tests])


def write_mnli(folder: pathlib.Path) -> None:
    header = [f"column{n}" for n in range(12)]
    rows = [
        (n, *"abcdefg", text, "good film", NLI[n % 3], NLI[n % 3])
        for n, (text, _) in enumerate(TEXTS)
    ]
    table(folder / "train.tsv", [header, *rows])
    table(folder / "dev_matched.tsv", [header, *rows[:9]])
    table(
        folder / "test_matched.tsv",
        [row[:10] for row in (header, *rows[:3])],
    )


def write_xnli(folder: pathlib.Path) -> None:
    spelt = ("contradictory", "entailment", "neutral")
    rows = [("电 好", "电 坏", spelt[n % 3]) for n in range(40)]
    table(
        folder / "multinli" / "multinli.train.zh.tsv",
        [("premise", "hypo", "label"), *rows],
    )
    dev = [
        (language, NLI[n % 3], *"abcd", "电 好", "坏")
        for n in range(9)
        for language in ("zh", "fr")
    ]
    for name in ("xnli.dev.tsv", "xnli.test.tsv"):
        table(folder / name, [("language", *(f"c{n}" for n in range(7))), *dev])


@pytest.mark.parametrize(
    ("task", "write", "num_labels", "predicted"),
    [
        ("MRPC", write_mrpc, 2, 3),
        pytest.param("CoLA", write_cola, 2, 3, marks=pytest.mark.slow),
        pytest.param("MNLI", write_mnli, 3, 3, marks=pytest.mark.slow),
        pytest.param("XNLI", write_xnli, 3, 9, marks=pytest.mark.slow),
    ],
)
def test_commands_of_the_original(
    script, checkpoint, tmp_path, capsys, task, write, num_labels, predicted
):
    """As the original's README has them; then a prediction.

    There, the classifier in the folder is named as the checkpoint.
    """
    data, out = tmp_path / task, tmp_path / "out"
    write(data)
    model = (
        f"--task_name={task}",
        f"--data_dir={data}",
        f"--vocab_file={checkpoint}/vocab.txt",
        f"--bert_config_file={checkpoint}/bert_config.json",
        "--max_seq_length=128",
        f"--output_dir={out}",
    )
    script(
        *model,
        "--do_train=true",
        "--do_eval=true",
        f"--init_checkpoint={checkpoint}/bert_model.ckpt",
        "--train_batch_size=32",
        "--learning_rate=2e-5",
        "--num_train_epochs=3.0",
    )
    lines = (out / "eval_results.txt").read_text("utf-8").splitlines()
    results = dict(line.split(" = ") for line in lines)
    # 40 rows in batches of 32, 3 times: int(3.75) steps. The best of the
    # evaluations after each pass is the one that counts.
    assert list(results) == [
        "eval_accuracy",
        "eval_loss",
        "global_step",
        "loss",
    ]
    assert 1 <= int(results["global_step"]) <= 3
    assert results["eval_loss"] == results["loss"]
    assert 0 <= float(results["eval_accuracy"]) <= 1

    script(*model, "--do_predict=true", f"--init_checkpoint={out}")
    rows = [
        [float(value) for value in line.split("\t")]
        for line in (out / "test_results.tsv").read_text().splitlines()
    ]
    assert np.shape(rows) == (predicted, num_labels)
    np.testing.assert_allclose(np.sum(rows, axis=1), 1.0, atol=1e-6)
    shown = capsys.readouterr().out
    assert f"problem: single_label (task {task})" in shown


@pytest.fixture
def still(checkpoint, tmp_path, monkeypatch) -> pathlib.Path:
    """The same model without dropout, whose draws XLA makes otherwise."""
    from modeling import BertConfig, heads

    monkeypatch.setattr(heads, "CLASSIFIER_DROPOUT_PROB", 0.0)

    folder = tmp_path / "uncased_still"
    shutil.copytree(checkpoint, folder)
    config = BertConfig.from_json_file(folder / "bert_config.json")
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    (folder / "bert_config.json").write_text(config.to_json_string())
    return folder


@pytest.mark.slow
def test_precision_compilation_and_rematerialization_change_little(
    script, still, tmp_path
):
    """Losses after every pass and probabilities, beside a plain run's."""
    path = tmp_path / "train.csv"
    rows = (
        f"{' '.join([word] * (n % 5 + 1))},{word}\n"
        for n in range(20)
        for word in ("good", "bad")
    )
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")

    def outcome(name, *flags):
        out = tmp_path / name
        script(
            *("--do_train", "--do_eval", "--do_predict", *flags),
            *(f"--train_file={path}", f"--test_file={path}"),
            *(f"--init_checkpoint={still}", f"--output_dir={out}"),
            *("--train_batch_size=4", "--num_train_epochs=6"),
            *("--learning_rate=1e-2", "--max_seq_length=32"),
            *("--dev_fraction=0.2", "--best_metric=loss"),
            "--concurrency=1",  # or dropout in the head would draw otherwise
        )
        log = (out / "training_log.jsonl").read_text("utf-8").splitlines()
        lines = [json.loads(line) for line in log]
        losses = [
            line["evaluation"]["loss"] for line in lines if "evaluation" in line
        ]
        return np.array(losses), np.loadtxt(out / "test_results.tsv")

    losses, probabilities = outcome("plain", "--mixed_precision=off")
    assert len(losses) == 6
    assert losses[-1] < 0.7 * losses[0]  # or it would all be alike
    for name, flags, tolerance in (
        ("remat", ("--remat",), 1e-6),
        ("compiled", ("--jit_compile",), 1e-5),
        ("bfloat16", ("--mixed_precision=bfloat16",), 6e-2),
    ):
        of_fast = outcome(name, *flags)
        np.testing.assert_allclose(
            of_fast[0], losses, rtol=0, atol=tolerance, err_msg=name
        )
        np.testing.assert_allclose(
            of_fast[1], probabilities, rtol=0, atol=tolerance / 50, err_msg=name
        )


def test_several_devices_compute_one_part_each(script, tmp_path):
    with pytest.raises(UserError, match=r"--concurrency=2: several devices"):
        script(
            *("--do_train", "--distribution=mirrored", "--concurrency=2"),
            f"--output_dir={tmp_path / 'out'}",
        )


def test_flags_of_tpus(script, tmp_path):
    out = f"--output_dir={tmp_path / 'out'}"
    with pytest.raises(UserError, match=r"--distribution=tpu: .* finds no TPU"):
        script("--do_train", "--use_tpu=true", "--tpu_name=a", out)
    # Command lines for the original have it without training, too.
    with pytest.raises(UserError, match="has no trained model"):
        script("--do_predict", "--use_tpu=true", "--test_file=a.csv", out)
    # Without --use_tpu the others say nothing, so the next mistake is told.
    with pytest.raises(UserError, match="--output_dir is missing"):
        script(
            *("--do_train", "--use_tpu=false", "--tpu_name=a"),
            *("--tpu_zone=b", "--gcp_project=c", "--master=d"),
            *("--num_tpu_cores=8", "--iterations_per_loop=1000"),
        )


# The script as a process of its own.


def test_help_loads_no_tensorflow(root):
    """Which would take seconds."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "run_classifier.py", "--help"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0
    assert "--init_checkpoint" in done.stdout
    loaded = [line.split("|")[-1].strip() for line in done.stderr.splitlines()]
    assert "bert_keras3.commands.entry" in loaded
    for heavy in ("tensorflow", "keras", "numpy", "sklearn"):
        assert heavy not in loaded


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_code_2(root, checkpoint, tmp_path):
    done = subprocess.run(
        command(
            *("--do_train", f"--train_file={tmp_path}/no.csv"),
            *(f"--init_checkpoint={checkpoint}", f"--output_dir={tmp_path}/o"),
        ),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/no.csv: there is no such file.\n"
    )
    assert not (tmp_path / "o").exists()


@pytest.fixture
def train(checkpoint, tmp_path):
    """Flags of a training of 80 steps; a function of the output folder."""
    path = tmp_path / "train.csv"
    lines = (
        f"{text}{' film' * (n % 7)},{'yn'[label]}\n"
        for n, (text, label) in enumerate(TEXTS)
    )
    path.write_text("text,label\n" + "".join(lines), encoding="utf-8")

    def flags(out: pathlib.Path) -> list[str]:
        return command(
            *("--do_train", "--do_eval", f"--train_file={path}"),
            *(f"--init_checkpoint={checkpoint}", f"--output_dir={out}"),
            *("--train_batch_size=4", "--num_train_epochs=20"),
            *("--learning_rate=1e-2", "--save_checkpoints_steps=7"),
            "--dev_fraction=0.2",
        )

    return flags


def weights_in(out: pathlib.Path) -> list[np.ndarray]:
    from bert_keras3.finetuning.run_folder import FinetuningFolder

    return [
        weight.numpy() for weight in FinetuningFolder(out).load_model().weights
    ]


def assert_same_bits(ours: pathlib.Path, theirs: pathlib.Path) -> None:
    for one, other in zip(weights_in(ours), weights_in(theirs), strict=True):
        np.testing.assert_array_equal(one, other)


def lines_of(path: pathlib.Path) -> int:
    return path.read_text("utf-8").count("\n") if path.exists() else 0


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_to_the_same_bits(
    root, train, tmp_path
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(train(whole), cwd=root, check=True, capture_output=True)
    log = killed / "training_log.jsonl"
    for least in (8, 20):
        process = subprocess.Popen(
            train(killed),
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while lines_of(log) < least and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    done = subprocess.run(
        train(killed), cwd=root, check=True, capture_output=True, text=True
    )
    assert "resumed after step" in done.stdout
    assert_same_bits(killed, whole)
    for out in (whole, killed):
        assert not list(out.glob(".encoded"))
    figures = [
        json.loads((out / "eval_results.json").read_text("utf-8"))
        for out in (whole, killed)
    ]
    assert figures[0] == figures[1]


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_says_how_it_goes_on(
    root, train, tmp_path
):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run(train(whole), cwd=root, check=True, capture_output=True)
    for number, least in ((signal.SIGINT, 8), (signal.SIGTERM, 20)):
        process = subprocess.Popen(
            train(stopped), cwd=root, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while lines_of(stopped / "training_log.jsonl") < least:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, shown = process.communicate()
        assert process.returncode == 128 + number
        last = shown.splitlines()[-1]
        told = re.match(r"stopped at step (\d+) of 160; run the same", last)
        assert told
        assert "Traceback" not in shown
    done = subprocess.run(
        train(stopped), cwd=root, check=True, capture_output=True, text=True
    )
    assert f"resumed after step {told[1]}\n" in done.stdout
    assert_same_bits(stopped, whole)
    logs = [
        [
            {name: one for name, one in entry.items() if name not in OF_MACHINE}
            for entry in map(json.loads, log.read_text("utf-8").splitlines())
        ]
        for log in (out / "training_log.jsonl" for out in (whole, stopped))
    ]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_a_process_on_a_full_disk_says_so_and_goes_on_later(
    root, train, tmp_path
):
    """No file may grow beyond 16 KiB: the first state does not fit."""
    resource = pytest.importorskip("resource")
    whole, full = tmp_path / "whole", tmp_path / "full"
    subprocess.run(train(whole), cwd=root, check=True, capture_output=True)
    limit = (16384, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = subprocess.run(
        train(full),
        cwd=root,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "state.safetensors: the file would be larger than allowed" in last
    assert "Traceback" not in done.stderr
    subprocess.run(train(full), cwd=root, check=True, capture_output=True)
    assert_same_bits(full, whole)


def test_the_flag_names_every_optimizer():
    from bert_keras3.optimization import DEFAULT_OPTIMIZER, OPTIMIZERS

    flag = run_classifier.COMMAND.values["optimizer"]
    assert flag.default == DEFAULT_OPTIMIZER
    assert flag.parser.syntactic_help == "|".join(OPTIMIZERS)
