"""A task is one file and one row: one that the program does not have.

`Tags` has a label for each token of a text in a CSV file. It goes through the
job as the program's own tasks do: trained, evaluated, predicted, and opened
again from the run folder. A task with several rows for one example is the
program's own `choice`.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from bert_keras3.finetuning import labelled_data, tasks
from bert_keras3.finetuning.evaluation import Evaluation
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.task import TaskDefaults
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, Column

NO_TAG = -1
"""Of [CLS], [SEP] and padding."""


@dataclasses.dataclass(frozen=True)
class Tags(TaskDefaults):
    """The label cell has a tag for each token of the text: "O A O"."""

    name: ClassVar = "tags"
    default_metric: ClassVar = "accuracy"
    heads: ClassVar = ("token_labels",)
    targets: ClassVar = ("tags",)
    per_token: ClassVar = ("logits",)
    result_files: ClassVar = ("tags.txt",)
    own_rows: ClassVar = True

    labels: tuple[str, ...] = ()

    def reader(self, encoder, labels):
        return TagReader(encoder, labels)

    @property
    def metrics(self):
        return ("loss", "accuracy")

    def loss(self, outputs, features):
        """Mean over the tokens that have a tag, of logits [B, S, C]."""
        import tensorflow as tf

        tags = features["tags"]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(tags, 0), outputs["logits"]
        )
        has_tag = tf.cast(tags != NO_TAG, tf.float32)
        return tf.reduce_sum(losses * has_tag) / tf.reduce_sum(has_tag)

    def count(self, examples):
        return {}

    def evaluate(self, outputs, examples):
        tags = np.concatenate([*tags_of(examples)])
        found = outputs["logits"].argmax(-1)[tags != NO_TAG]
        right = found == tags[tags != NO_TAG]
        return Evaluation({"loss": 0.0, "accuracy": float(right.mean())})

    def answers(self, outputs, examples):
        lengths = examples.store.lengths[examples.rows]
        rows = np.split(outputs["logits"].argmax(-1), lengths.cumsum()[:-1])
        return (" ".join(self.labels[n] for n in row[1:-1]) for row in rows)

    def write_answers(self, folder, source, answers):
        (folder / "tags.txt").write_text("\n".join(answers), "utf-8")
        return folder / "tags.txt"


def tags_of(examples):
    """Yields the tags of each example's row."""
    store = examples.store
    for row in examples.rows:
        yield store.arrays["tags"][store.offsets[row] : store.offsets[row + 1]]


class TagReader:
    """Adds a column per token to what the model reads."""

    columns: ClassVar = {
        **INPUT_COLUMNS,
        "tags": Column("int32", per_token=True, padding=NO_TAG),
    }

    def __init__(self, encoder, labels):
        self._encoder, self._is_labelled = encoder, labels is not None
        self._labels = [*((labels and labels.labels) or ())]

    def rows(self, example):
        inputs = self._encoder.pack(example)
        tags = np.full(len(inputs["input_ids"]), NO_TAG)
        if self._is_labelled:
            cells = example.label.split()
            for name in cells:
                if name not in self._labels:
                    self._labels.append(name)
            tags[1:-1] = [self._labels.index(name) for name in cells]
        yield {**inputs, "tags": tags}

    def finish(self, store):
        return Tags(tuple(self._labels)), store

    def notes(self):
        return ()


@pytest.fixture
def with_tags(monkeypatch):
    """The row, and its name for `--problem_type`."""
    table = {**tasks.TASKS, Tags.name: Tags}
    monkeypatch.setattr("bert_keras3.finetuning.labelled_data.TASKS", table)
    monkeypatch.setattr("bert_keras3.finetuning.run_folder.TASKS", table)
    kind = dataclasses.replace(labelled_data.KIND, problems=tuple(table))
    monkeypatch.setattr(labelled_data, "KIND", kind)
    monkeypatch.setattr(
        "bert_keras3.finetuning.checks.check_ranges", lambda settings: None
    )


@pytest.mark.slow
def test_tags(with_tags, job, change, screen, tmp_path, write_csv):
    """Adjectives are A, "very" and "not" are M, all other tokens O."""
    tag_of = {"good": "A", "bad": "A", "fine": "A", "very": "M", "not": "M"}
    texts = (
        *("good film", "the film was very fine", "not bad , good food"),
        *("bad film !", "very very good", "the food was not fine"),
    ) * 4
    rows = [
        (number, text, " ".join(tag_of.get(word, "O") for word in text.split()))
        for number, text in enumerate(texts)
    ]
    file = str(write_csv(tmp_path / "tags.csv", rows))
    wanted = change(
        job,
        train_file=file,
        dev_file=file,
        test_file=file,
        problem_type=Tags.name,
        do_predict=True,
        num_train_epochs=20,
    )
    run(wanted, screen)
    written = wanted.output_dir / "tags.txt"
    assert written.read_text("utf-8").split("\n") == [tags for *_, tags in rows]
    assert "problem: tags (as given)" in screen.text
    # What the folder holds is enough to predict again.
    written.unlink()
    run(change(wanted, do_train=False, do_eval=False), screen)
    assert written.read_text("utf-8").split("\n") == [tags for *_, tags in rows]
