r"""Trains BERT on records of raw text: masked words and pairs of sentences.

    python run_pretraining.py --do_train --do_eval \
        --input_file='records/train*.tfrecord' \
        --eval_file=records/held_out.tfrecord \
        --bert_config_file=configs/bert_tiny.json --vocab_file=vocab.txt \
        --num_train_steps=10000 --num_warmup_steps=1000 --output_dir=out
    python run_pretraining.py --do_train --input_file=domain.tfrecord \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out

The records are made by create_pretraining_data.py; the output folder can be
given to every script as --init_checkpoint. Every command line of the
original's script works too.
"""

from __future__ import annotations

from absl import flags

from bert_keras3.commands import entry, training_flags

FLAGS = flags.FLAGS

# What to do.
flags.DEFINE_bool("do_train", False, "Train.")
flags.DEFINE_bool(
    "do_eval", False, "Evaluate; with --do_train before and after it."
)
flags.DEFINE_string(
    "output_dir", None, "Folder of the run, its checkpoints and its figures."
)
flags.DEFINE_bool(
    "overwrite_output_dir", False, "Start anew in a folder that holds a run."
)

# The records.
flags.DEFINE_string(
    "input_file",
    None,
    "Records to train on: files or patterns, with commas between.",
)
flags.DEFINE_string(
    "eval_file",
    None,
    "Records to evaluate that are not trained on; without it those of "
    "--input_file are evaluated.",
)
flags.DEFINE_integer(
    "max_seq_length", 128, "Tokens of a record, as it was made."
)
flags.DEFINE_integer(
    "max_predictions_per_seq",
    20,
    "Masks of a record, as it was made; with --masking, the most that are "
    "drawn.",
)
flags.DEFINE_enum(
    "sentence_objective",
    "nsp",
    ["nsp", "sop", "none"],
    "As the records were made: is B the next sentence; are A and B in order; "
    "or masked words alone.",
)
flags.DEFINE_enum(
    "masking",
    None,
    ["token", "whole_word", "ngram", "entity"],
    "Draw masks while training, for records made with --masking=none.",
)
flags.DEFINE_float(
    "masked_lm_prob", 0.15, "With --masking: which part of tokens is masked."
)
flags.DEFINE_list(
    "ngram_weights",
    ["0.4", "0.3", "0.2", "0.1"],
    "With --masking=ngram: how often 1, 2, … words are masked together.",
)
flags.DEFINE_bool(
    "skip_corrupt", False, "Leave out records that are damaged, and count them."
)

# The model.
flags.DEFINE_string(
    "bert_config_file",
    None,
    "Sizes of the model; by default what lies beside the checkpoint.",
)
flags.DEFINE_string(
    "init_checkpoint",
    None,
    "Weights to go on from: a Google checkpoint, a Hugging Face folder, or a "
    "file or folder of this program. Without it all weights are random.",
)
flags.DEFINE_string(
    "vocab_file",
    None,
    "Is copied beside the checkpoints; by default what lies beside "
    "--init_checkpoint.",
)

# Training.
training_flags.define()
flags.DEFINE_integer("num_train_steps", 100000, "Updates in all.")
flags.DEFINE_integer(
    "num_warmup_steps", 10000, "Updates in which the rate rises."
)
flags.DEFINE_bool("jit_compile", False, "Let XLA compile the steps.")
flags.DEFINE_integer(
    "save_checkpoints_steps",
    1000,
    "Save a checkpoint, and what is needed to go on, after every so many "
    "steps.",
)
flags.DEFINE_integer(
    "keep_checkpoint_max", 5, "How many checkpoints of a run are kept."
)
flags.DEFINE_enum(
    "checkpoint_format",
    "google",
    ["google", "keras", "huggingface"],
    "Of the checkpoints; Google's are numbered by their step.",
)
flags.DEFINE_bool(
    "with_optimizer",
    False,
    "Put the optimiser's moments into Google's checkpoints, as the original "
    "does; going on after a stop does not need them.",
)

# Evaluation.
flags.DEFINE_integer(
    "max_eval_steps", 100, "The most batches of an evaluation."
)


def main() -> None:
    """Hands the flags to `pretraining.job`."""
    entry.load_tensorflow(training_flags.threads(FLAGS))
    from bert_keras3.commands.screen import Screen
    from bert_keras3.pretraining.job import run
    from bert_keras3.pretraining.settings import (
        Job,
        ModelChoices,
        TrainingChoices,
    )
    from bert_keras3.pretraining_data.masking import MaskingSettings
    from bert_keras3.pretraining_data.settings import weights

    masking = None
    if FLAGS.masking is not None:
        masking = MaskingSettings(
            FLAGS.masking,
            FLAGS.masked_lm_prob,
            FLAGS.max_predictions_per_seq,
            weights(FLAGS.ngram_weights),
        )
    run(
        Job(
            output_dir=FLAGS.output_dir,
            model=ModelChoices(
                init_checkpoint=FLAGS.init_checkpoint,
                bert_config_file=FLAGS.bert_config_file,
                vocab_file=FLAGS.vocab_file,
                allow_missing=tuple(FLAGS.allow_missing),
            ),
            input_file=FLAGS.input_file,
            training=TrainingChoices(
                **training_flags.shared_choices(FLAGS),
                num_train_steps=FLAGS.num_train_steps,
                num_warmup_steps=FLAGS.num_warmup_steps,
                keep_checkpoint_max=FLAGS.keep_checkpoint_max,
                checkpoint_format=FLAGS.checkpoint_format,
                with_optimizer=FLAGS.with_optimizer,
            ),
            eval_file=FLAGS.eval_file,
            sentence_objective=FLAGS.sentence_objective,
            max_seq_length=FLAGS.max_seq_length,
            max_predictions_per_seq=FLAGS.max_predictions_per_seq,
            masking=masking,
            skip_corrupt=FLAGS.skip_corrupt,
            do_train=FLAGS.do_train,
            do_eval=FLAGS.do_eval,
            eval_batch_size=FLAGS.eval_batch_size,
            max_eval_steps=FLAGS.max_eval_steps,
            overwrite_output_dir=FLAGS.overwrite_output_dir,
            distribution=training_flags.distribution(FLAGS),
            concurrency=training_flags.concurrency(FLAGS),
        ),
        Screen(),
    )


def command() -> None:
    """Runs the script with the arguments of the process."""
    flags.mark_flags_as_required(["output_dir"])
    entry.run(main)
