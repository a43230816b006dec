"""Opens a job's files and turns their rows into ids, with a report.

What a file's columns are is found out in `sources`, the ids are made by
`data`; what is done with the rows is for `learning` and `readiness` to say.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from bert_keras3.finetuning.choices import Job
from bert_keras3.finetuning.data import Split, TextEncoder, encode
from bert_keras3.finetuning.data_report import report_lines, report_values
from bert_keras3.finetuning.encoder_files import EncoderFiles
from bert_keras3.finetuning.problem import Problem
from bert_keras3.finetuning.run_folder import ClassifierSettings
from bert_keras3.finetuning.sources import Source, Task
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.screen import Screen

# Lengths of batches are multiples of this where each is compiled for itself.
LENGTH_STEP = 32


class Reader:
    """Reads the files of one job, and keeps what there is to report.

    Attributes:
        report: what was found, by the name of the split.
    """

    def __init__(self, job: Job, scratch: pathlib.Path, screen: Screen) -> None:
        """Reads nothing yet.

        Args:
            job: tells which files are wanted.
            scratch: folder for the ids.
            screen: where the findings are shown.
        """
        self._job = job
        self._scratch = scratch
        self._screen = screen
        self.report: dict[str, dict[str, Any]] = {}

    def sources(self, task: Task) -> dict[str, Source]:
        """Opens every file that will be wanted, the training file first."""
        job = self._job
        wanted = {
            "train": job.do_train,
            "dev": job.do_eval and (task.has("dev") or not job.do_train),
            "test": job.do_predict,
        }
        return {split: task.source(split) for split in wanted if wanted[split]}

    def text_encoder(self, files: EncoderFiles) -> TextEncoder:
        """Makes what turns texts into ids for an encoder.

        Raises:
            UserError: the inputs would be longer than the encoder takes, or
                the vocabulary does not fit it.
        """
        encoder = TextEncoder(files.tokenizer, self._job.encoder.longest_input)
        longest = files.config.max_position_embeddings
        if encoder.max_seq_length > longest:
            raise UserError(
                f"--max_seq_length={encoder.max_seq_length}: the model has "
                f"positions for {longest} tokens "
                "(`max_position_embeddings`); give at most that"
            )
        remark = encoder.check(files.vocab_file, files.config.vocab_size)
        if remark:
            self._screen.say(f"note: {remark}")
        self._screen.say(
            f"do_lower_case: {files.do_lower_case} ({files.why_lower_case})"
        )
        return encoder

    def settings(
        self,
        task: Task,
        problem: Problem,
        labels: tuple[str, ...],
        source: Source,
        files: EncoderFiles,
    ) -> ClassifierSettings:
        """Returns what a run folder keeps of how its data was read."""
        job = self._job
        return ClassifierSettings(
            task_name=task.name,
            problem=problem.name,
            labels=labels,
            max_seq_length=job.encoder.longest_input,
            do_lower_case=files.do_lower_case,
            columns=source.columns,
            takes_pairs=source.takes_pairs,
            label_separator=job.data.label_separator,
            init_checkpoint=job.encoder.init_checkpoint,
        )

    def encode(
        self,
        source: Source,
        encoder: TextEncoder,
        name: str,
        problem: Problem | None = None,
        labels: tuple[str, ...] | None = None,
        separator: str | None = None,
    ) -> Split:
        """Encodes a file; its labels too, if the problem is told.

        Args:
            source: the file.
            encoder: makes the ids.
            name: of the split, for its report.
            problem: tells what labels are.
            labels: their names; found in the file if not given.
            separator: between several labels in one cell.

        Returns:
            The ids and, if the problem is told, the targets.

        Raises:
            UserError: a row is not what it should be.
        """
        split = encode(
            source, encoder, self._scratch / name, problem, labels, separator
        )
        for line in report_lines(split, encoder.max_seq_length):
            self._screen.say(line)
        self.report[name] = report_values(split)
        if self._job.unpad:
            share = split.store.share_of_padding(encoder.max_seq_length)
            self._screen.say(
                f"nothing is computed for padding, which would be {share:.0%} "
                f"of rows of --max_seq_length={encoder.max_seq_length} tokens"
            )
        if self._job.training.computing.jit_compile:
            store = dataclasses.replace(split.store, length_step=LENGTH_STEP)
            split = dataclasses.replace(split, store=store)
        return split

    def show(self, source: Source) -> None:
        """Shows what was found out about a file, with its first rows."""
        description = source.describe()
        if description is None:
            return
        self._screen.table(
            ("what", "is", "because of"),
            description.decisions,
            title=str(source.path),
        )
        self._screen.table(
            ("id", "text", "second text", "label"),
            [
                (one.guid, one.text_a, one.text_b or "", one.label or "")
                for one in description.first
            ],
        )
