"""Tiny run folders with random weights, one for each kind of rows."""

from __future__ import annotations

import csv
import json
import pathlib

import numpy as np
import pytest

from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
    new_model,
)
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    LabelledJob,
    TrainingChoices,
)
from bert_keras3.finetuning.span_settings import (
    QuestionEncoder,
    QuestionFiles,
    QuestionJob,
)
from bert_keras3.finetuning.tagging_settings import (
    TaggedFiles,
    TaggerEncoder,
    TaggerJob,
)
from modeling import BertConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = "who what sang played well badly anna bob here there . ?".split()  # noqa: SIM905
CHOICES = ("ending0", "ending1", "ending2")

JOBS = {
    "single_label": (LabelledJob, DataChoices, EncoderChoices),
    "choice": (LabelledJob, DataChoices, EncoderChoices),
    "tagging": (TaggerJob, TaggedFiles, TaggerEncoder),
    "span": (QuestionJob, QuestionFiles, QuestionEncoder),
}


def settings_of(problem, **more):
    labels = {
        "single_label": ("no", "yes"),
        "choice": ("choice",),
        "tagging": ("O", "B-PER", "I-PER"),
        "span": (),
    }[problem]
    columns = {
        "single_label": {
            "text": 1,
            "text_pair": None,
            "label": [],
            "id": None,
            "names": ["number", "text"],
            "header": True,
        },
        "choice": {
            "context": 0,
            "question": None,
            "choices": [1, 2, 3],
            "label": None,
            "id": None,
            "names": ["context", *CHOICES],
            "header": True,
        },
    }
    return RunSettings(
        task_name="csv",
        problem=problem,
        labels=labels,
        max_seq_length=16,
        do_lower_case=True,
        columns=columns.get(problem, {}),
        takes_pairs=problem in ("span", "choice"),
        **more,
    )


def make_run(folder: pathlib.Path, problem: str) -> FinetuningFolder:
    """A run folder as a training leaves it, without a training."""
    import keras

    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    keras.utils.set_random_seed(0)
    run = FinetuningFolder(folder)
    more = {}
    if problem == "span":
        more["options"] = {"doc_stride": 4, "max_query_length": 6}
    settings = settings_of(problem, **more)
    folder.mkdir()
    (folder / "vocab.txt").write_text(
        "".join(f"{token}\n" for token in (*SPECIAL, *WORDS)), "utf-8"
    )
    run.write_encoder_files(config, folder / "vocab.txt")
    run.save_model(new_model(config, settings.task))
    run.write_settings(settings)
    return run


def texts(number, seed):
    """Some texts of one to twelve words."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(number)
    ]


def write_shard(path, problem, number, seed):
    """Writes a file of rows for a model of that kind."""
    if problem in ("single_label", "choice"):
        header = ("number", "text")
        rows = [(n * n, text) for n, text in enumerate(texts(number, seed))]
        if problem == "choice":
            header = ("context", *CHOICES)
            rows = [
                (text, *texts(3, (seed, n)))
                for n, text in enumerate(texts(number, seed))
            ]
        with open(path, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return
    lines = []
    for n, text in enumerate(texts(number, seed)):
        record = {"text": text, "entities": []}
        if problem == "span":
            record = {
                "id": f"q{seed}-{n}",
                "question": "who sang ?",
                # Without a context there is no window.
                "context": text if n < 6 else "",
            }
        lines.append(f"{json.dumps(record)}\n")
    path.write_text("".join(lines), "utf-8")


ENDINGS = {
    "single_label": ".csv",
    "choice": ".csv",
    "tagging": ".jsonl",
    "span": ".jsonl",
}


@pytest.fixture(scope="session")
def make_job(tmp_path_factory):
    """A function of a problem → a job that predicts, and three files."""
    made = {}

    def make(problem: str) -> tuple[Job, list[pathlib.Path]]:
        if problem not in made:
            top = tmp_path_factory.mktemp(problem)
            run = make_run(top / "run", problem)
            kind, data, encoder = JOBS[problem]
            if problem == "tagging":
                open_layout(run, top)
            (top / "rows").mkdir()
            files = [top / "rows" / f"{n}{ENDINGS[problem]}" for n in range(3)]
            for seed, (file, number) in enumerate(
                zip(files, (7, 12, 1), strict=True)
            ):
                write_shard(file, problem, number, seed)
            pattern = str(top / "rows" / f"*{ENDINGS[problem]}")
            made[problem] = (
                kind(
                    output_dir=run.path,
                    data=data(test_file=pattern),
                    encoder=encoder(),
                    training=TrainingChoices(),
                    do_predict=True,
                    predict_batch_size=4,
                ),
                files,
            )
        return made[problem]

    return make


def open_layout(run, top):
    """Keeps how the files of a tagger are written."""
    import dataclasses

    from bert_keras3.finetuning.tagged_data import TaggedSource

    train = top / "train.jsonl"
    train.write_text(
        '{"text": "anna sang .", "entities": [{"start": 0, "end": 4, '
        '"label": "PER"}]}\n',
        "utf-8",
    )
    source = TaggedSource.open((train,), TaggedFiles(), None, want_labels=True)
    settings = dataclasses.replace(run.read_settings(), columns=source.columns)
    run.write_settings(settings)


class Transcript:
    """A screen that remembers what it was shown."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def table(self, headers, rows, title=None):
        pass


@pytest.fixture
def screen() -> Transcript:
    return Transcript()
