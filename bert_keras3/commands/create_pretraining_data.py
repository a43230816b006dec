r"""Makes TFRecord files for pretraining out of text: sentences and masks.

    python create_pretraining_data.py --input_file=a.txt,b.txt \
        --output_file=out.tfrecord --vocab_file=vocab.txt
    python create_pretraining_data.py --input_file='corpus/*.txt' \
        --output_file=out.tfrecord --vocab_file=vocab.txt \
        --masking=whole_word --segmenter=jieba --num_workers=8 \
        --num_shards=64 --compression=GZIP

The text has a sentence on each line and an empty line between documents.
The first command writes the records of the original's script, one by one.
"""

from __future__ import annotations

from absl import flags

from bert_keras3.commands import entry

FLAGS = flags.FLAGS

# Of the original.
flags.DEFINE_string(
    "input_file", None, "Text files or patterns, with commas between."
)
flags.DEFINE_string(
    "output_file",
    None,
    "TFRecord file; several, with commas between, get every nth record.",
)
flags.DEFINE_string(
    "vocab_file",
    None,
    "The model's vocabulary: a vocab.txt or ALBERT's .model.",
)
flags.DEFINE_bool(
    "do_lower_case", True, "Whether the model is uncased, else cased."
)
flags.DEFINE_bool(
    "do_whole_word_mask", False, "Means --masking=whole_word, if true."
)
flags.DEFINE_integer(
    "max_seq_length", 128, "Tokens of an input, special tokens counted."
)
flags.DEFINE_integer(
    "max_predictions_per_seq", 20, "The most masks in an input."
)
flags.DEFINE_integer("random_seed", 12345, "Equal seeds, equal files.")
flags.DEFINE_integer(
    "dupe_factor", 10, "How often each document is used, each time otherwise."
)
flags.DEFINE_float("masked_lm_prob", 0.15, "Which part of tokens is masked.")
flags.DEFINE_float(
    "short_seq_prob",
    0.1,
    "How often a document is cut into shorter inputs.",
)

# Beyond the original.
flags.DEFINE_enum(
    "masking",
    None,
    ["token", "whole_word", "ngram", "entity", "none"],
    "What is masked together; none: masks are drawn at training time.",
)
flags.DEFINE_list(
    "ngram_weights",
    ["0.4", "0.3", "0.2", "0.1"],
    "With --masking=ngram: how often 1, 2, … words are masked together.",
)
flags.DEFINE_enum(
    "segmenter",
    "none",
    ["none", "jieba"],
    "Puts Chinese characters together to words; jieba is in the extra "
    "`chinese`.",
)
flags.DEFINE_string(
    "word_list",
    None,
    "File with a word on each line; the longest that fits is a whole word.",
)
flags.DEFINE_string(
    "entity_list",
    None,
    "File with a name on each line; its words are masked together.",
)
flags.DEFINE_enum(
    "sentence_objective",
    "nsp",
    ["nsp", "sop", "none"],
    "nsp: is B the next sentence; sop: are A and B in order; none: one text "
    "of full sentences.",
)
flags.DEFINE_enum(
    "random_streams",
    None,
    ["original", "independent"],
    "original: equal to the original's records, drawn by one worker; "
    "independent: drawn by any number. By default original, where one worker "
    "is asked for nothing that the original does not have.",
)
flags.DEFINE_string(
    "encoding",
    None,
    "Of the text, as Python calls it, such as gb18030; by default found out "
    "for each file.",
)
flags.DEFINE_integer("num_workers", 1, "Processes.", lower_bound=1)
flags.DEFINE_string(
    "runner",
    None,
    "Of Apache Beam, such as DirectRunner or FlinkRunner, instead of "
    "processes; all its workers see the folders of text and output.",
)
flags.DEFINE_list(
    "runner_options",
    [],
    "Options of its pipeline, such as --direct_num_workers=4, with commas "
    "between.",
)
flags.DEFINE_integer(
    "num_shards",
    None,
    "Files; out.tfrecord becomes out-00000-of-00010.tfrecord and so on.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "compression", "none", ["none", "GZIP"], "Of the TFRecord files."
)


def main() -> None:
    """Makes the records and says how many there are."""
    from bert_keras3.commands.screen import Screen
    from bert_keras3.inputs import records
    from bert_keras3.pretraining_data import preparation
    from bert_keras3.pretraining_data.masking import MaskingSettings
    from bert_keras3.pretraining_data.progress import Progress
    from bert_keras3.pretraining_data.settings import (
        Settings,
        output_paths,
        strategy,
        weights,
    )
    from bert_keras3.pretraining_data.words import WordSettings

    settings = Settings(
        input_files=tuple(records.find_files(FLAGS.input_file)),
        output_files=output_paths(FLAGS.output_file, FLAGS.num_shards),
        vocab_file=FLAGS.vocab_file,
        do_lower_case=FLAGS.do_lower_case,
        words=WordSettings(FLAGS.segmenter, FLAGS.word_list, FLAGS.entity_list),
        masking=MaskingSettings(
            strategy(FLAGS.masking, FLAGS.do_whole_word_mask),
            FLAGS.masked_lm_prob,
            FLAGS.max_predictions_per_seq,
            weights(FLAGS.ngram_weights),
        ),
        sentence_objective=FLAGS.sentence_objective,
        max_seq_length=FLAGS.max_seq_length,
        short_seq_prob=FLAGS.short_seq_prob,
        dupe_factor=FLAGS.dupe_factor,
        random_seed=FLAGS.random_seed,
        random_streams=FLAGS.random_streams,
        num_workers=FLAGS.num_workers,
        compression=FLAGS.compression,
        runner=FLAGS.runner,
        runner_options=tuple(FLAGS.runner_options),
        encoding=FLAGS.encoding,
    )
    screen = Screen()
    with Progress() as progress:
        outcome = preparation.prepare(settings, progress, screen.say)
    screen.say(
        f"{outcome.num_instances} records of {outcome.num_documents} "
        f"documents, {outcome.num_sentences} sentences, {outcome.num_tokens} "
        f"tokens in {len(settings.output_files)} "
        f"file{'s' if len(settings.output_files) > 1 else ''}: "
        f"{settings.output_files[0]}"
    )


def command() -> None:
    """Runs the script with the arguments of the process."""
    flags.mark_flags_as_required(["input_file", "output_file", "vocab_file"])
    entry.run(main)
