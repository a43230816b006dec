r"""Fine-tunes BERT to classify texts or pairs of texts; evaluates; predicts.

    python run_classifier.py --do_train --do_eval --train_file=tickets.csv \
        --init_checkpoint=uncased_L-12_H-768_A-12 --output_dir=out
    python run_classifier.py --do_predict --test_file=new.csv --output_dir=out

Every command line of the original's script works too (--task_name=MRPC
--data_dir=… --vocab_file=… and so on).
"""

from __future__ import annotations

import os

from absl import flags

from bert_keras3.commands import entry, training_flags

FLAGS = flags.FLAGS

# What to do.
flags.DEFINE_bool("do_train", False, "Train.")
flags.DEFINE_bool(
    "do_eval",
    False,
    "Evaluate on the dev file; while training, after every pass.",
)
flags.DEFINE_bool("do_predict", False, "Predict the test file.")
flags.DEFINE_bool(
    "do_export", False, "Export the classifier as a SavedModel that takes text."
)
flags.DEFINE_string(
    "output_dir", None, "Folder of the run; alone enough to predict later."
)
flags.DEFINE_string(
    "export_dir",
    None,
    "Folder of the exported versions; `export` in --output_dir by default.",
)
flags.DEFINE_enum(
    "quantize",
    None,
    ["int8"],
    "Export with kernels in int8: a quarter of the size, not faster "
    "(export_saved_model.py --format=litert has a form that is).",
)
flags.DEFINE_bool(
    "overwrite_output_dir", False, "Start anew in a folder that holds a run."
)

# The data.
flags.DEFINE_string(
    "task_name",
    "csv",
    "csv for files of your own; or CoLA, MNLI, MRPC, XNLI, SST-2, RTE.",
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with the task's files; for csv, with train.csv (or .tsv, …), "
    "dev.csv and test.csv.",
)
flags.DEFINE_string("train_file", None, "File to train on.")
flags.DEFINE_string(
    "dev_file",
    None,
    "File to evaluate on; without it a part of the training file is held out.",
)
flags.DEFINE_string("test_file", None, "File to predict.")
flags.DEFINE_float(
    "dev_fraction",
    0.1,
    "Part of the training file that is held out without a dev file.",
)
flags.DEFINE_string("text_column", None, "Name or number of the text column.")
flags.DEFINE_string(
    "text_pair_column", None, "Of the second text's; `none` for single texts."
)
flags.DEFINE_string(
    "label_column",
    None,
    "Of the label's; several with commas between for multi-label data.",
)
flags.DEFINE_string("id_column", None, "Of the identifier's; or `none`.")
flags.DEFINE_string(
    "delimiter", None, "One character, or tab, comma, semicolon, pipe, none."
)
flags.DEFINE_enum(
    "quoting",
    None,
    ["double", "backslash", "none"],
    "How a cell may hold the delimiter; none: a quote is a letter.",
)
flags.DEFINE_string("encoding", None, "Of the files, as Python calls it.")
flags.DEFINE_bool("header", None, "Whether the first row holds names.")
flags.DEFINE_enum(
    "problem_type",
    None,
    ["single_label", "multi_label", "regression"],
    "Found out from the labels if not given.",
)
flags.DEFINE_string(
    "label_separator", None, "What separates several labels in one cell."
)
flags.DEFINE_list(
    "skip_labels",
    [],
    "Rows with one of these labels are left out, such as - for OCNLI.",
)
flags.DEFINE_string(
    "labels_file",
    None,
    "Names of the labels, one a line, of a classifier that is given as "
    "--init_checkpoint and not trained.",
)

# The model.
flags.DEFINE_string(
    "init_checkpoint",
    None,
    "Weights to start from: a Google checkpoint, a Hugging Face folder, or a "
    "file of this program.",
)
flags.DEFINE_string(
    "bert_config_file", None, "By default what lies beside the checkpoint."
)
flags.DEFINE_string(
    "vocab_file",
    None,
    "vocab.txt, tokenizer.json or a SentencePiece .model; by default what "
    "lies beside the checkpoint.",
)
# What google-research/albert's script calls them.
flags.DEFINE_alias("albert_config_file", "bert_config_file")
flags.DEFINE_alias("spm_model_file", "vocab_file")
flags.DEFINE_bool(
    "do_lower_case",
    None,
    "Whether the model is uncased; by default as found beside the checkpoint.",
)
flags.DEFINE_integer(
    "max_seq_length",
    None,
    "Most tokens of an input; longer texts are cut. By default 128, or that "
    "of the classifier in --output_dir.",
)

# Training.
training_flags.define()
flags.DEFINE_float(
    "num_train_epochs",
    3.0,
    "Passes over the data.",
)
flags.DEFINE_float(
    "warmup_proportion",
    0.1,
    "Part of the training in which the rate rises.",
)
flags.DEFINE_integer(
    "lora_rank",
    None,
    "Train matrices of this rank beside the frozen kernels (LoRA) and the "
    "head, instead of all weights; 8 is usual. Wants a higher rate, 1e-3.",
)
flags.DEFINE_bool(
    "jit_compile",
    False,
    "Let XLA compile; batches are padded to multiples of 32 tokens, since "
    "each length is compiled for itself.",
)
flags.DEFINE_enum(
    "class_weight", None, ["balanced"], "Make rare labels weigh more."
)
flags.DEFINE_string(
    "best_metric",
    None,
    "Which metric decides what weights are kept, such as accuracy, macro_f1, "
    "mcc, loss; by default the task's.",
)
flags.DEFINE_integer(
    "early_stopping_patience",
    None,
    "Stop after so many evaluations without a better one.",
)
flags.DEFINE_integer(
    "save_checkpoints_steps",
    1000,
    "Save what is needed to go on after every so many steps.",
)
flags.DEFINE_integer(
    "predict_batch_size",
    8,
    "Examples of a prediction's batch.",
)
flags.DEFINE_integer(
    "batch_tokens",
    None,
    "Evaluate and predict in batches of at most so many positions, padding "
    "counted, instead of so many examples: many short texts or few long ones.",
)
flags.DEFINE_bool(
    "unpad",
    True,
    "Compute nothing for padding; false computes it like the original, for "
    "the same answers.",
)


def main() -> None:
    """Hands the flags to `finetuning.job`."""
    entry.load_tensorflow(training_flags.threads(FLAGS))
    from bert_keras3.commands.screen import Screen
    from bert_keras3.finetuning.choices import Job
    from bert_keras3.finetuning.encoder_files import EncoderChoices
    from bert_keras3.finetuning.job import run
    from bert_keras3.finetuning.sources import DataChoices
    from bert_keras3.finetuning.train import TrainingChoices
    from bert_keras3.inputs.settings import FileChoices
    from bert_keras3.safekeeping.errors import UserError

    if FLAGS.output_dir is None:
        raise UserError("--output_dir is missing: name the folder of the run")
    if FLAGS.do_export and not (
        FLAGS.do_train or FLAGS.do_eval or FLAGS.do_predict
    ):
        _export()
        return
    run(
        Job(
            output_dir=FLAGS.output_dir,
            data=DataChoices(
                task_name=FLAGS.task_name,
                data_dir=FLAGS.data_dir,
                train_file=FLAGS.train_file,
                dev_file=FLAGS.dev_file,
                test_file=FLAGS.test_file,
                file=FileChoices(
                    delimiter=FLAGS.delimiter,
                    quoting=FLAGS.quoting,
                    encoding=FLAGS.encoding,
                    header=FLAGS.header,
                    text=FLAGS.text_column,
                    text_pair=FLAGS.text_pair_column,
                    label=FLAGS.label_column,
                    id=FLAGS.id_column,
                ),
                problem_type=FLAGS.problem_type,
                label_separator=FLAGS.label_separator,
                skip_labels=tuple(FLAGS.skip_labels),
                labels_file=FLAGS.labels_file,
                dev_fraction=FLAGS.dev_fraction,
            ),
            encoder=EncoderChoices(
                init_checkpoint=FLAGS.init_checkpoint,
                bert_config_file=FLAGS.bert_config_file,
                vocab_file=FLAGS.vocab_file,
                do_lower_case=FLAGS.do_lower_case,
                max_seq_length=FLAGS.max_seq_length,
                allow_missing=tuple(FLAGS.allow_missing),
            ),
            training=TrainingChoices(
                **training_flags.shared_choices(FLAGS),
                num_train_epochs=FLAGS.num_train_epochs,
                warmup_proportion=FLAGS.warmup_proportion,
                class_weight=FLAGS.class_weight,
                best_metric=FLAGS.best_metric,
                early_stopping_patience=FLAGS.early_stopping_patience,
                lora_rank=FLAGS.lora_rank,
            ),
            do_train=FLAGS.do_train,
            do_eval=FLAGS.do_eval,
            do_predict=FLAGS.do_predict,
            eval_batch_size=FLAGS.eval_batch_size,
            predict_batch_size=FLAGS.predict_batch_size,
            batch_tokens=FLAGS.batch_tokens,
            unpad=FLAGS.unpad,
            overwrite_output_dir=FLAGS.overwrite_output_dir,
            distribution=training_flags.distribution(FLAGS),
            concurrency=training_flags.concurrency(FLAGS),
        ),
        Screen(),
    )
    if FLAGS.do_export:
        _export()


def _export() -> None:
    """Hands the flags to `serving.exporter`."""
    from bert_keras3.commands.screen import Screen
    from bert_keras3.serving.exporter import export

    export_dir = FLAGS.export_dir or os.path.join(FLAGS.output_dir, "export")
    folder = export(FLAGS.output_dir, export_dir, quantize=FLAGS.quantize)
    Screen().say(f"exported: {folder}")


def command() -> None:
    """Runs the script with the arguments of the process."""
    entry.run(main)
