r"""Converts text to TFRecord files of masked inputs for run_pretraining.py.

    python create_pretraining_data.py --input_file=a.txt,b.txt \
        --output_file=out.tfrecord --vocab_file=vocab.txt
    python create_pretraining_data.py --input_file='corpus/*.txt' \
        --output_file=out.tfrecord --vocab_file=vocab.txt \
        --masking=whole_word --segmenter=jieba --num_workers=8 \
        --num_shards=64 --compression=GZIP

The text has one sentence per line and an empty line between documents. The
first command writes exactly the records of google-research/bert. The second is
for a large Chinese corpus and needs jieba (pip install '.[chinese]').
"""

from __future__ import annotations

from bert_keras3.commands import entry, flags
from bert_keras3.pretraining_data.settings import (
    MaskingSettings,
    RecordFlags,
    Settings,
)

COMMAND = flags.Command(__doc__, RecordFlags, Settings)


def main() -> None:
    """Writes the records and prints their number."""
    wanted = COMMAND.read(RecordFlags)
    from bert_keras3.commands.screen import Screen
    from bert_keras3.inputs import records
    from bert_keras3.parallel_work.workers import Progress
    from bert_keras3.pretraining_data import checks, preparation

    settings = COMMAND.read(
        Settings,
        input_files=tuple(records.find_files(wanted.input_file)),
        output_files=checks.output_paths(wanted.output_file, wanted.num_shards),
        masking=COMMAND.read(
            MaskingSettings,
            strategy=checks.strategy(
                COMMAND.values.masking, wanted.do_whole_word_mask
            ),
        ),
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
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
