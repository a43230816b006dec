"""Settings of a job on questions about texts, each with its flag.

Names and defaults are those of the original's `run_squad.py`. This file
imports neither TensorFlow nor Keras, so that `--help` is fast.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from bert_keras3.finetuning.settings import (
    DataFiles,
    EncoderChoices,
    Job,
)
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag

# As in the original.


@dataclasses.dataclass(frozen=True)
class QuestionFiles(DataFiles):
    """Files of questions, and how they become rows and answers.

    Where a value is None, a trained model's is used, else the original's
    default.
    """

    train_file: str | None = flag(
        None,
        "File with the questions to train on: JSON in the form of SQuAD or "
        "CMRC 2018, JSON with a flat list of questions, JSON lines, or a CSV "
        "or TSV file with the columns context, question and answer. There may "
        "be several files, with commas between or as a pattern such as "
        "'data/*.json'.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
    dev_file: str | None = flag(
        None,
        "File with questions and answers to evaluate on. By default "
        "--predict_file if it has answers; otherwise a part of the training "
        "questions is held out, as large as --dev_fraction says.",
        group="Data",
        placeholder="FILE",
        needs=("do_eval",),
    )
    test_file: str | None = flag(
        None,
        "File with the questions to answer; it needs no answers.",
        group="Data",
        placeholder="FILE",
        name="predict_file",
        needs=("do_predict", "do_eval"),
        aliases=("test_file",),
    )
    version_2_with_negative: bool | None = flag(
        None,
        "Whether a question may have no answer, as in SQuAD 2.0. By default "
        "as the model was trained; in training, true if the training file "
        "says of some question that it has none.",
        group="Data",
    )
    strict: bool = flag(
        False,
        "Refuse a file in which an answer is not in its context or not where "
        "the file says, or a context is empty. By default such questions are "
        "counted; they are not trained on.",
        group="Data",
    )
    doc_stride: int | None = flag(
        None,
        "Number of tokens from the start of one window of a long context to "
        "the start of the next. By default 128, or as the model was trained.",
        group="Model inputs",
        least=1,
    )
    max_query_length: int | None = flag(
        None,
        "Maximum number of tokens of a question; longer ones are cut. By "
        "default 64, or as the model was trained.",
        group="Model inputs",
        least=1,
    )
    answers_by: str | None = flag(
        None,
        "How an answer is cut out of its context. words: whole words between "
        "spaces, then shortened as google-research/bert does; characters: by "
        "the characters of its tokens, which is better for Chinese. By "
        "default as the model was trained; in training, characters if the "
        "contexts are written without spaces, otherwise words.",
        group="Model inputs",
        choices=("words", "characters"),
    )
    n_best_size: int | None = flag(
        None,
        "Number of answers per question in nbest_predictions.json, and number "
        "of start and of end positions looked at per window. By default 20.",
        group="Evaluation and prediction",
        least=1,
    )
    max_answer_length: int | None = flag(
        None,
        "Maximum number of tokens of an answer. By default 30.",
        group="Evaluation and prediction",
        least=1,
    )
    null_score_diff_threshold: float | None = flag(
        None,
        "With --version_2_with_negative, answer that there is no answer if "
        "the score of that less the score of the best answer is greater than "
        "this. An evaluation reports the best value as best_f1_thresh. By "
        "default 0.",
        group="Evaluation and prediction",
    )
    always_answer: bool | None = flag(
        None,
        "Where no pair among the n best starts and ends can be an answer, "
        "take the best pair of all, instead of the answer empty as "
        "google-research/bert does. With --version_2_with_negative, where "
        "google-research/bert stops with an error, that is always done.",
        group="Evaluation and prediction",
    )
    answer_metrics: str | None = flag(
        None,
        "Rules by which answers are compared. squad: those of SQuAD, without "
        "case, punctuation and English articles; cmrc: those of CMRC 2018, "
        "where each Chinese character is a word. By default cmrc if the "
        "contexts are written without spaces, otherwise squad.",
        group="Evaluation and prediction",
        choices=("squad", "cmrc"),
        needs=("do_eval",),
    )
    delimiter: str | None = flag(
        None,
        "Delimiter between the cells of a CSV or TSV file: one character, or "
        "one of the words tab, comma, semicolon and pipe. By default it is "
        "detected.",
        group="Columns and labels",
        placeholder="CHARACTER",
    )
    encoding: str | None = flag(
        None,
        "Character encoding of the input files, by its Python name, such as "
        "utf-8 or gb18030. By default it is detected for each file.",
        group="Columns and labels",
        placeholder="ENCODING",
    )

    @property
    def file(self) -> FileChoices:
        """How the files are written."""
        return FileChoices(delimiter=self.delimiter, encoding=self.encoding)


@dataclasses.dataclass(frozen=True)
class QuestionEncoder(EncoderChoices):
    """The pretrained model and its inputs."""

    max_seq_length: int | None = flag(
        None,
        "Maximum sequence length: number of tokens per window, special tokens "
        "included. Longer contexts become several windows. By default the "
        "value that the model in --output_dir, or the fine-tuned one of "
        "--init_checkpoint, was trained with, else 384.",
        group="Model inputs",
    )
    default_max_seq_length: ClassVar[int] = 384


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionJob(Job):
    """A job on questions about texts."""

    do_predict: bool = flag(
        False,
        "Write answers to the questions in --predict_file to "
        "predictions.json and nbest_predictions.json in --output_dir, and "
        "with --version_2_with_negative null_odds.json.",
        group="What to do",
    )
    data: QuestionFiles
    encoder: QuestionEncoder


@dataclasses.dataclass(frozen=True)
class OriginalFlags:
    """Flags of google-research/bert without an effect."""

    verbose_logging: bool = flag(
        False,
        "Has no effect: warnings are always printed.",
        group="Compatibility with google-research/bert",
    )
