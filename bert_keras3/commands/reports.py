r"""Reports on a fine-tuning run, or compares some, as a page for a browser.

    python -m reports out
    python -m reports out other_out --report_language=zh

out is the --output_dir of run_classifier.py, run_squad.py or run_tagger.py; the
training may be finished, running or killed. The first command writes
out/report.html: how good the model is, where it is wrong, whether the data is
sound, how the training went and what made it. The second one writes
other_out/comparison.html: what changed, which rows were won and lost, and
whether that is more than chance. docs/reports.md explains both.
"""

from __future__ import annotations

import sys

from bert_keras3.commands import entry, flags
from bert_keras3.reports.settings import ReportChoices
from bert_keras3.training.environment import load_tensorflow

COMMAND = flags.Command(__doc__, ReportChoices)


def main(folders: list[str]) -> None:
    """Writes the report on the folders."""
    settings = COMMAND.read(ReportChoices)
    load_tensorflow()
    from bert_keras3.commands.screen import Screen
    from bert_keras3.reports.job import run

    run(folders, settings, Screen())


def command() -> None:
    """Runs the command with the arguments of the process."""
    # Flags may stand behind the folders.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda one: not one.startswith("-"))
    entry.run_with_rest(main, COMMAND)
