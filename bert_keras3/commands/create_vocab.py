r"""Learns a WordPiece vocabulary from text, or adds words to a trained one.

    python create_vocab.py --input_file='corpus/*.txt' \
        --output_file=vocab.txt --vocab_size=30522
    python create_vocab.py --input_file=clinical.txt \
        --base_vocab_file=uncased_L-12_H-768_A-12/vocab.txt \
        --output_file=vocab.txt

The second gives the [unused] entries of a model's vocabulary to words of the
text; all other ids stay, so the model's checkpoint fits as before.
"""

from __future__ import annotations

from absl import flags

from bert_keras3.commands import entry

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "input_file", None, "Text files or patterns, with commas between."
)
flags.DEFINE_string("output_file", None, "The vocabulary, an entry a line.")
flags.DEFINE_string(
    "base_vocab_file", None, "Vocabulary whose [unused] entries are given away."
)
flags.DEFINE_bool(
    "do_lower_case", True, "Fold case and drop accents before counting."
)
flags.DEFINE_integer("vocab_size", 30522, "Entries in all.", lower_bound=1)
flags.DEFINE_list(
    "special_tokens",
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "The first entries.",
)
flags.DEFINE_integer(
    "num_unused",
    100,
    "Entries [unused0], … behind these, for words of later.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "min_frequency", 2, "What is rarer is left out.", lower_bound=1
)
flags.DEFINE_string(
    "encoding",
    None,
    "Of the text, as Python calls it, such as gb18030; by default found out "
    "for each file.",
)
flags.DEFINE_integer("num_workers", 1, "Processes.", lower_bound=1)


def main() -> None:
    """Writes the vocabulary and says how large it is."""
    from bert_keras3.commands.screen import Screen
    from bert_keras3.inputs import records
    from bert_keras3.pretraining_data import vocabulary
    from bert_keras3.pretraining_data.progress import Progress
    from bert_keras3.pretraining_data.workers import Workers
    from bert_keras3.safekeeping.files import atomic_write

    screen = Screen()
    settings = vocabulary.VocabularySettings(
        FLAGS.vocab_size,
        tuple(FLAGS.special_tokens),
        FLAGS.num_unused,
        FLAGS.min_frequency,
    )
    base = vocabulary.base_entries(FLAGS.base_vocab_file)
    files = records.find_files(FLAGS.input_file)
    with Progress() as progress, Workers(FLAGS.num_workers) as workers:
        counts = vocabulary.count_words(
            files,
            FLAGS.do_lower_case,
            workers,
            progress.stage("Reading text"),
            FLAGS.encoding,
            screen.say,
        )
    if base:
        entries, new = vocabulary.fill_unused(base, counts, FLAGS.min_frequency)
        screen.say(f"{len(new)} words are new: {', '.join(new[:20])} …")
    else:
        entries = vocabulary.learn(counts, settings)
    with atomic_write(FLAGS.output_file, newline="\n") as file:
        file.writelines(f"{piece}\n" for piece in entries)
    screen.say(f"{len(entries)} entries: {FLAGS.output_file}")
    if not base and len(entries) < FLAGS.vocab_size:
        screen.say(
            "The text has no more pieces that occur "
            f"{FLAGS.min_frequency} times or more."
        )


def command() -> None:
    """Runs the script with the arguments of the process."""
    flags.mark_flags_as_required(["input_file", "output_file"])
    entry.run(main)
