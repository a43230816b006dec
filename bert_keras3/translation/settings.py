"""The settings of `examples/translate.py`. No library is imported here."""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import (
    JobSettings,
    ModelChoices,
    TrainingSettings,
)


@dataclasses.dataclass(frozen=True)
class PairFiles:
    """Files whose lines are translations of each other."""

    source_file: str | None = flag(
        None,
        "Text file to train on, in the language to translate from, with a "
        "text on each line; compressed or not.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
    target_file: str | None = flag(
        None,
        "Text file with the translation of each line of --source_file.",
        group="Data",
        placeholder="FILE",
        needs=("do_train",),
    )
    eval_source_file: str | None = flag(
        None,
        "Text file to evaluate on, in the language to translate from.",
        group="Data",
        placeholder="FILE",
        needs=("do_eval",),
    )
    eval_target_file: str | None = flag(
        None,
        "Text file with the translation of each line of --eval_source_file.",
        group="Data",
        placeholder="FILE",
        needs=("do_eval",),
    )
    encoding: str | None = flag(
        None,
        "Character encoding of the files, such as utf-8 or gb18030. By "
        "default it is detected.",
        group="Data",
        placeholder="NAME",
    )


@dataclasses.dataclass(frozen=True)
class TranslatorChoices(ModelChoices):
    """The encoder to start from, and the decoder beside it."""

    target_vocab_file: str | None = flag(
        None,
        "Vocabulary of the language to translate into. By default both "
        "languages have one vocabulary, and encoder, decoder and output one "
        "word embedding table.",
        group="Model",
        placeholder="FILE",
        needs=("do_train",),
    )
    decoder_layers: int | None = flag(
        None,
        "Number of layers of the decoder; its other sizes are the encoder's. "
        "By default as many as the encoder has.",
        group="Model",
        needs=("do_train",),
        least=1,
    )
    decoder_positions: str = flag(
        "sinusoidal",
        "Position vectors of the decoder. sinusoidal: constant, as in "
        "Vaswani et al. 2017; learned: a weight, as in BERT.",
        group="Model",
        choices=("sinusoidal", "learned"),
        needs=("do_train",),
    )
    do_lower_case: bool | None = flag(
        None,
        "Convert the texts of both languages to lower case and strip accents. "
        "By default as the files beside --init_checkpoint, or else the "
        "vocabulary, say.",
        group="Model inputs",
        needs=("do_train",),
    )
    max_seq_length: int = flag(
        128,
        "Maximum number of tokens of a text, special tokens included. Longer "
        "pairs are left out of training and evaluation of the loss; longer "
        "texts to translate are truncated.",
        group="Model inputs",
        needs=("do_train",),
        least=3,
    )


@dataclasses.dataclass(frozen=True)
class TrainingChoices(TrainingSettings):
    """Settings of a training on pairs of texts."""

    train_batch_size: int = flag(
        2048,
        "Training batch size: most tokens per training step, padding "
        "included, of the texts or of their translations, whichever are "
        "longer. A batch has pairs of similar length.",
        group="Training",
        needs=("do_train",),
        least=1,
    )
    learning_rate: float = flag(
        1e-3,
        "Peak learning rate, reached at the end of warm-up.",
        group="Training",
        above=0,
        below=1,
        needs=("do_train",),
    )
    num_train_epochs: float = flag(
        20.0,
        "Number of epochs (passes over the pairs), whole or fractional.",
        group="Training",
        needs=("do_train",),
        above=0,
    )
    num_warmup_steps: int = flag(
        1000,
        "Number of training steps of warm-up, in which the learning rate "
        "rises linearly from 0.",
        group="Training",
        needs=("do_train",),
        least=0,
    )
    learning_rate_schedule: str = flag(
        "linear",
        "How the learning rate falls after warm-up. linear: to 0 at the end "
        "of training; inverse_sqrt: with the inverse square root of the step, "
        "as in Vaswani et al. 2017, who have 4000 steps of warm-up and a peak "
        "of 1 / sqrt(4000 * hidden size).",
        group="Further training settings",
        choices=("linear", "inverse_sqrt"),
        needs=("do_train",),
    )
    label_smoothing: float = flag(
        0.1,
        "Label smoothing: share of each label's probability that the loss "
        "shares out among all tokens.",
        group="Further training settings",
        least=0,
        below=1,
        needs=("do_train",),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(JobSettings):
    """Settings of a translation job."""

    files: PairFiles = dataclasses.field(default_factory=PairFiles)
    model: TranslatorChoices = dataclasses.field(
        default_factory=TranslatorChoices
    )
    training: TrainingChoices = dataclasses.field(
        default_factory=TrainingChoices
    )
    eval_batch_size: int = flag(
        4096,
        "Maximum number of tokens, padding included, per batch of evaluation "
        "or translation; texts of similar length make a batch.",
        group="Evaluation and prediction",
        least=1,
    )
    beam_size: int = flag(
        4,
        "Number of hypotheses that are followed in the search for a "
        "translation; 1: the most probable token at each step (greedy).",
        group="Evaluation and prediction",
        least=1,
    )
    length_penalty: float = flag(
        0.6,
        "Exponent of the length penalty ((5 + tokens) / 6)^exponent, by which "
        "the log probability of a hypothesis is divided (Wu et al. 2016); "
        "larger values prefer longer translations.",
        group="Evaluation and prediction",
        least=0,
    )
    export_dir: str | None = flag(
        None,
        "Folder for a SavedModel that takes strings and returns their "
        "translations; it must not exist yet. It contains the tokenizer and "
        "the search.",
        group="Export",
        placeholder="FOLDER",
    )
