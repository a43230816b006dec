"""Apache Beam makes the files that processes make; its direct runner does."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining_data import preparation
from bert_keras3.pretraining_data.checks import resolve
from bert_keras3.pretraining_data.settings import MaskingSettings, Settings
from bert_keras3.safekeeping.errors import UserError

WORDS = "the sun moon sea rises sets over un ##happ ##y".split()  # noqa: SIM905
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Two files of six documents."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(2):
        documents = [
            "\n".join(
                " ".join(rng.choice(WORDS[:7], rng.integers(3, 9)))
                for _ in range(rng.integers(2, 7))
            )
            for _ in range(6)
        ]
        files.append(tmp_path / f"text{number}.txt")
        files[-1].write_text("\n\n".join(documents), "utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", "utf-8")
    return Settings(
        input_files=tuple(map(str, files)),
        output_files=tuple(
            str(tmp_path / f"out-{number}.tfrecord") for number in range(2)
        ),
        vocab_file=str(tmp_path / "vocab.txt"),
        masking=MaskingSettings(max_predictions_per_seq=5),
        max_seq_length=32,
        dupe_factor=3,
        random_streams="independent",
    )


def prepare(settings):
    return preparation.prepare(settings, Progress(), lambda line: None)


@pytest.mark.parametrize("masking", ["token", "none"])
def test_equal_files(settings, masking):
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    settings = dataclasses.replace(
        settings,
        masking=dataclasses.replace(settings.masking, strategy=masking),
    )
    outputs = [pathlib.Path(path) for path in settings.output_files]
    usual = prepare(settings)
    expected = [path.read_bytes() for path in outputs]
    assert all(expected)
    for path in outputs:
        path.unlink()
    assert (
        prepare(dataclasses.replace(settings, runner="DirectRunner")) == usual
    )
    assert [path.read_bytes() for path in outputs] == expected
    assert not list(outputs[0].parent.glob("*.work"))


def test_work_that_is_done_is_not_done_again(settings, monkeypatch):
    """The job is stopped after the text is read, at its first piece."""
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    from bert_keras3.parallel_work import workers

    settings = dataclasses.replace(settings, runner="DirectRunner")
    ran = []
    run_pipeline = workers.BeamRunner._run_pipeline

    def counted(self, function, tasks):
        if len(ran) == 1:
            ran.append(0)
            raise KeyboardInterrupt
        ran.append(len(tasks))
        run_pipeline(self, function, tasks)

    monkeypatch.setattr(workers.BeamRunner, "_run_pipeline", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare(settings)
    assert prepare(settings).num_instances
    # Two ranges of text, nothing, two pieces.
    assert ran == [2, 0, 2]


def test_a_mistake_in_the_text_is_reported(settings):
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    broken = pathlib.Path(settings.input_files[1])
    broken.write_bytes(b"the sun\n\xff\n")
    with pytest.raises(UserError, match=r"text1\.txt"):
        prepare(dataclasses.replace(settings, runner="DirectRunner"))


def test_a_runner_that_is_not_there(settings):
    pytest.importorskip("apache_beam", reason="needs the extra `beam`")
    with pytest.raises(UserError, match="--runner=NoRunner: "):
        prepare(dataclasses.replace(settings, runner="NoRunner"))


def test_the_package_that_is_not_there(settings, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'bert-keras3\[beam\]'"):
        prepare(dataclasses.replace(settings, runner="DirectRunner"))


def test_the_original_order_needs_one_process(settings):
    settings = dataclasses.replace(
        settings, runner="DirectRunner", random_streams="original"
    )
    with pytest.raises(UserError, match="--runner=DirectRunner"):
        resolve(settings)
    automatic = dataclasses.replace(settings, random_streams=None)
    assert resolve(automatic) == "independent"
