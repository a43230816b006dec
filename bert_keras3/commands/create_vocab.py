r"""Learns a WordPiece vocabulary from text, or adds words to an existing one.

    python create_vocab.py --input_file='corpus/*.txt' \
        --output_file=vocab.txt --vocab_size=30522
    python create_vocab.py --input_file=clinical.txt \
        --base_vocab_file=uncased_L-12_H-768_A-12/vocab.txt \
        --output_file=vocab.txt

The first command needs the package tokenizers (pip install '.[vocabulary]').
The second replaces [unused] entries of a model's vocabulary by words of the
text. All other ids stay the same, so the checkpoint of the model still fits.
"""

from __future__ import annotations

from bert_keras3.commands import entry, flags
from bert_keras3.pretraining_data.settings import VocabularyFlags

COMMAND = flags.Command(__doc__, VocabularyFlags)


def main() -> None:
    """Writes the vocabulary and prints its size."""
    wanted = COMMAND.read(VocabularyFlags)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.inputs import records
    from bert_keras3.parallel_work.workers import Processes, Progress
    from bert_keras3.pretraining_data import vocabulary
    from bert_keras3.safekeeping.files import atomic_write

    screen, text, settings = Screen(), wanted.text, wanted.vocabulary
    base = vocabulary.base_entries(wanted.base_vocab_file)
    files = records.find_files(wanted.input_file)
    with Progress() as progress, Processes(text.num_workers) as workers:
        counts = vocabulary.count_words(
            files,
            text.do_lower_case,
            workers,
            progress.stage("Reading text"),
            text.encoding,
            screen.say,
        )
    if base:
        entries, new = vocabulary.fill_unused(
            base, counts, settings.min_frequency
        )
        screen.say(f"{len(new)} words are new: {', '.join(new[:20])} …")
    else:
        entries = vocabulary.learn(counts, settings)
    with atomic_write(wanted.output_file, newline="\n") as file:
        file.writelines(f"{piece}\n" for piece in entries)
    screen.say(f"{len(entries)} entries: {wanted.output_file}")
    if not base and len(entries) < settings.vocab_size:
        screen.say(
            "The text has no more pieces that occur "
            f"{settings.min_frequency} times or more."
        )


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
