"""Vectors of shards are those of the plain script for each file by itself."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.vectors.extraction import extract
from bert_keras3.vectors.settings import Extraction

pytest.importorskip("apache_beam", reason="needs the extra `beam`")
from bert_keras3.batch_inference.vectors import extract_shards

DIRECT = RunnerFlags(runner="DirectRunner")


@pytest.fixture
def wanted(make_job, tmp_path):
    """A function of settings → those of an extraction of three files."""
    job, files = make_job("single_label")

    def settings(**more):
        return Extraction(
            **{
                "input_file": str(files[0].with_name("*.csv")),
                "output_file": str(tmp_path / "all/vectors.jsonl"),
                "init_checkpoint": str(job.output_dir),
                "max_seq_length": 8,
                **more,
            }
        )

    return settings


def test_vectors_of_tokens(wanted, make_job, screen, tmp_path):
    layers = ("-1",)
    extract_shards(wanted(layers=layers), DeviceChoices(), DIRECT, screen)
    file, plain = make_job("single_label")[1][1], tmp_path / "plain.jsonl"
    settings = {"input_file": str(file), "output_file": str(plain)}
    extract(wanted(layers=layers, **settings), screen)
    shard = tmp_path / "all/vectors-00001-of-00003.jsonl"
    assert shard.read_text("utf-8") == plain.read_text("utf-8")
    counts = json.loads((tmp_path / "all/vectors.counts.json").read_text())
    assert counts["rows"] == 20


@pytest.mark.slow
def test_vectors_of_texts(wanted, make_job, screen, tmp_path):
    settings = {"format": "npz", "pooling": "mean"}
    output = str(tmp_path / "all/vectors.npz")
    extract_shards(
        wanted(output_file=output, **settings), DeviceChoices(), DIRECT, screen
    )
    file = make_job("single_label")[1][1]
    plain = tmp_path / "plain.npz"
    extract(
        wanted(input_file=str(file), output_file=str(plain), **settings), screen
    )
    with (
        np.load(plain) as expected,
        np.load(tmp_path / "all/vectors-00001-of-00003.npz") as found,
    ):
        np.testing.assert_allclose(
            found["vectors"], expected["vectors"], atol=1e-6
        )


def test_mistakes(wanted, screen, tmp_path):
    """One of the model is told once, and not for each shard."""
    missing = wanted(init_checkpoint=str(tmp_path / "no-such"))
    with pytest.raises(UserError, match="no-such"):
        extract_shards(missing, DeviceChoices(), DIRECT, screen)
    wrong = wanted(layers=("7",))
    with pytest.raises(UserError, match="3 of 3 shards have no") as caught:
        extract_shards(wrong, DeviceChoices(), DIRECT, screen)
    assert str(caught.value).count("--layers=7") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--do_train"], "--do_train and --runner=DirectRunner: "),
        (["--do_predict"], "do_predict with files of your own"),
        (["--do_predict", "--test_file=no.csv"], r"there is no file .*no.csv"),
    ],
)
def test_flags_of_run_classifier(flags, message, monkeypatch, tmp_path):
    from bert_keras3.commands import run_classifier

    monkeypatch.setattr(
        sys,
        "argv",
        [
            "run_classifier.py",
            f"--output_dir={tmp_path}",
            "--runner=DirectRunner",
            *flags,
        ],
    )
    run_classifier.COMMAND.parse(sys.argv)
    try:
        with pytest.raises(UserError, match=message):
            run_classifier.main()
    finally:
        run_classifier.COMMAND.values.unparse_flags()
