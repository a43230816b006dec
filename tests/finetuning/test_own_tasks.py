"""A task is one file and one row: two that the program does not have.

`Tags` has a label for each token, `Choices` several rows for one example. Both
go through the job as the program's own tasks do: trained, evaluated,
predicted, and opened again from the run folder.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from bert_keras3.finetuning import labelled_data, tasks
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.task import TARGETS, Evaluation
from bert_keras3.finetuning.texts import MODEL_INPUTS
from bert_keras3.inputs.batches import EXAMPLE
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, Column

NO_TAG = -1
"""Of [CLS], [SEP] and padding."""


@dataclasses.dataclass(frozen=True)
class Tags:
    """The label cell has a tag for each token of the text: "O A O"."""

    name: ClassVar = "tags"
    default_metric: ClassVar = "accuracy"
    has_classes: ClassVar = False
    repeats_labels: ClassVar = True
    heads: ClassVar = ("token_labels",)
    inputs: ClassVar = MODEL_INPUTS
    targets: ClassVar = ("tags",)
    per_token: ClassVar = ("logits",)
    reads_padding: ClassVar = False
    epochs_of_rows: ClassVar = False
    grouped: ClassVar = False
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

    def write_predictions(self, folder, outputs, examples):
        lengths = examples.store.lengths[examples.rows]
        rows = np.split(outputs["logits"].argmax(-1), lengths.cumsum()[:-1])
        lines = (" ".join(self.labels[n] for n in row[1:-1]) for row in rows)
        (folder / "tags.txt").write_text("\n".join(lines), "utf-8")
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


@dataclasses.dataclass(frozen=True)
class Choices:
    """The second text has choices with `|` between, the label their number."""

    name: ClassVar = "choices"
    default_metric: ClassVar = "accuracy"
    has_classes: ClassVar = False
    repeats_labels: ClassVar = True
    heads: ClassVar = ("labels",)
    inputs: ClassVar = MODEL_INPUTS
    targets: ClassVar = (TARGETS,)
    per_token: ClassVar = ()
    reads_padding: ClassVar = False
    epochs_of_rows: ClassVar = False
    grouped: ClassVar = True
    result_files: ClassVar = ("choices.txt",)
    own_rows: ClassVar = True

    labels: tuple[str, ...] = ("choice",)

    def reader(self, encoder, labels):
        return ChoiceReader(encoder, labels is not None)

    @property
    def metrics(self):
        return ("loss", "accuracy")

    def loss(self, outputs, features):
        """Mean over examples of −log softmax of the right row's logit."""
        import tensorflow as tf

        logits, example = outputs["logits"][:, 0], features[EXAMPLE]
        total = tf.math.segment_sum(tf.exp(logits), example)
        log_probs = logits - tf.gather(tf.math.log(total), example)
        is_right = tf.cast(features[TARGETS], tf.float32)
        return -tf.reduce_sum(log_probs * is_right) / tf.reduce_sum(is_right)

    def count(self, examples):
        return {}

    def evaluate(self, outputs, examples):
        chosen = self.chosen(outputs, examples)
        right = [
            int(one.label) == number
            for one, number in zip(examples.source, chosen, strict=True)
        ]
        return Evaluation({"loss": 0.0, "accuracy": float(np.mean(right))})

    def write_predictions(self, folder, outputs, examples):
        lines = map(str, self.chosen(outputs, examples))
        (folder / "choices.txt").write_text("\n".join(lines), "utf-8")
        return folder / "choices.txt"

    def chosen(self, outputs, examples):
        """The number of the row with the greatest logit, for each example."""
        of_rows = examples.store.examples[examples.rows]
        return [
            int(outputs["logits"][of_rows == number, 0].argmax())
            for number in examples.numbers
        ]


class ChoiceReader:
    """Makes a row of each choice."""

    columns: ClassVar = {**INPUT_COLUMNS, TARGETS: Column("int32")}

    def __init__(self, encoder, is_labelled):
        self._encoder, self._is_labelled = encoder, is_labelled

    def rows(self, example):
        for number, choice in enumerate(example.text_b.split("|")):
            one = dataclasses.replace(example, text_b=choice)
            is_right = self._is_labelled and int(example.label) == number
            yield {**self._encoder.pack(one), TARGETS: is_right}

    def finish(self, store):
        return Choices(), store

    def notes(self):
        return ()


@pytest.fixture
def with_both(monkeypatch):
    """The two rows, and their names for `--problem_type`."""
    table = {**tasks.TASKS, Tags.name: Tags, Choices.name: Choices}
    monkeypatch.setattr("bert_keras3.finetuning.labelled_data.TASKS", table)
    monkeypatch.setattr("bert_keras3.finetuning.run_folder.TASKS", table)
    kind = dataclasses.replace(labelled_data.KIND, problems=tuple(table))
    monkeypatch.setattr(labelled_data, "KIND", kind)
    monkeypatch.setattr(
        "bert_keras3.finetuning.checks.check_ranges", lambda settings: None
    )


def test_tags(with_both, job, change, screen, tmp_path, write_csv):
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


@pytest.mark.parametrize("concurrency", [1, 2])
def test_choices(
    with_both, job, change, screen, tmp_path, write_csv, concurrency
):
    """What is good is right, among two or three choices."""
    choices = ("good|bad", "bad|good", "not|poor|good", "good film|food|the")
    rows = [
        (number, "the film was", cell, cell.split("|").index(right))
        for number, cell in enumerate(choices * 7)
        for right in cell.split("|")
        if right.startswith("good")
    ]
    header = ("id", "text", "text_b", "label")
    file = str(write_csv(tmp_path / "choices.csv", rows, header))
    wanted = change(
        job,
        train_file=file,
        dev_file=file,
        test_file=file,
        problem_type=Choices.name,
        text="text",
        text_pair="text_b",
        do_predict=True,
        num_train_epochs=20,
        concurrency=concurrency,
    )
    run(wanted, screen)
    written = (wanted.output_dir / "choices.txt").read_text("utf-8")
    assert written.split("\n") == [str(label) for *_, label in rows]
