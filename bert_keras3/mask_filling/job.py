"""From texts to answers: reads, checks all of it, asks the model, writes.

--text, --input_file or lines of the standard input ─▶ MaskedLM ─▶
tables, or a file of JSON lines or CSV
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeAlias

from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.texts import open_texts
from bert_keras3.mask_filling.masked_lm import MaskedLM
from bert_keras3.mask_filling.settings import AUGMENT, NEXT_SENTENCE, Job
from bert_keras3.mask_filling.task import Task
from bert_keras3.mask_filling.tasks import TASKS
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.session import Screen

# Texts that are answered at once.
_AT_ONCE = 256
_STANDARD_INPUT = "standard input"

# Writes one example's answer.
Writer: TypeAlias = Callable[[InputExample, Any], None]


def run(job: Job, screen: Screen, standard_input: IO[str]) -> None:
    """Answers all texts of a job.

    Args:
        job: its settings.
        screen: where to print.
        standard_input: the texts, if there are no others.

    Raises:
        UserError: a flag, the checkpoint or a text is wrong; nothing has been
            written then.
    """
    check_ranges(job)
    writing = _form_of(job.output_file)
    examples, at_once = _examples(job, standard_input, screen)
    model = MaskedLM(
        job.init_checkpoint,
        config_file=job.bert_config_file,
        vocab_file=job.vocab_file,
        do_lower_case=job.do_lower_case,
        max_seq_length=job.max_seq_length,
        batch_size=job.batch_size,
    )
    task = TASKS[job.task](job, model)
    if at_once > 1:
        for example in examples:
            _check(task, example, job)
    with contextlib.ExitStack() as stack:
        write = None
        if writing is not None:
            write = stack.enter_context(writing(job, task))
        number = 0
        every = iter(examples)
        while some := list(itertools.islice(every, at_once)):
            if at_once == 1:
                _check(task, some[0], job)
            answers = task.answers(some)
            number += len(some)
            if write is None:
                task.show(some, answers, screen)
            else:
                for example, answer in zip(some, answers, strict=True):
                    write(example, answer)
    if number == 0:
        raise UserError(f"{_STANDARD_INPUT}: has no text; give --text")
    for line in task.summary():
        screen.say(line)
    if write is not None:
        screen.say(f"{number} answers are in {job.output_file}")


# Texts.


def _examples(
    job: Job, standard_input: IO[str], screen: Screen
) -> tuple[Iterable[InputExample], int]:
    """Returns the examples, and how many are answered at once."""
    if job.text is not None:
        if job.input_file is not None:
            raise UserError(
                f"--text and --input_file={job.input_file}: give one of them"
            )
        return [InputExample("1", job.text, job.text_b)], _AT_ONCE
    if job.text_b is not None:
        raise UserError("--text_b: give the first text of the pair as --text")
    if job.input_file is not None:
        file = open_texts(job.input_file, job.file)
        _check_number_of_texts(file, job)
        for note in file.notes():
            screen.say(note)
        return file, _AT_ONCE
    if job.task == NEXT_SENTENCE:
        raise UserError(
            "there is no pair of texts; give --text and --text_b, or an "
            "--input_file"
        )
    if standard_input.isatty():
        screen.say("Texts from the standard input, one per line; Ctrl-D ends.")
        return _lines(standard_input), 1
    return list(_lines(standard_input)), _AT_ONCE


def _check_number_of_texts(file: LabelledFile, job: Job) -> None:
    pair = file.columns.text_pair
    if pair is not None and job.task not in (NEXT_SENTENCE, AUGMENT):
        names = file.columns.names
        raise UserError(
            f"{file.path}: has pairs of texts in the columns "
            f"{names[file.columns.text]!r} and {names[pair]!r}; name the one "
            f"that is meant with --text_column, or ask --task={NEXT_SENTENCE}"
        )


def _lines(file: IO[str]) -> Iterator[InputExample]:
    """Yields the lines that are not blank, numbered by line."""
    for number, line in enumerate(file, 1):
        if line.strip():
            yield InputExample(str(number), line.strip(), line=number)


def _check(task: Task, example: InputExample, job: Job) -> None:
    """Checks one example; errors name its file and line."""
    try:
        task.check(example)
    except UserError as error:
        if not example.line:
            raise
        place = job.input_file or _STANDARD_INPUT
        raise UserError(f"{place}, line {example.line}: {error}") from None


# Answers.


@contextlib.contextmanager
def _json_lines(job: Job, task: Task) -> Iterator[Writer]:
    with atomic_write(str(job.output_file)) as file:

        def write(example: InputExample, answer: Any) -> None:
            record = task.record(example, answer)
            file.write(f"{json.dumps(record, ensure_ascii=False)}\n")

        yield write


@contextlib.contextmanager
def _delimited(job: Job, task: Task) -> Iterator[Writer]:
    path = str(job.output_file)
    with atomic_write(path, newline="") as file:
        writer = csv.writer(
            file,
            delimiter="\t" if path.lower().endswith(".tsv") else ",",
            lineterminator="\n",
        )
        writer.writerow(task.columns)
        yield lambda example, answer: writer.writerows(
            task.rows(example, answer)
        )


_FORMS = {
    ".jsonl": _json_lines,
    ".json": _json_lines,
    ".csv": _delimited,
    ".tsv": _delimited,
}


def _form_of(path: str | None) -> Any:
    if path is None:
        return None
    form = _FORMS.get(pathlib.Path(path).suffix.lower())
    if form is None:
        raise UserError(
            f"--output_file={path}: give a name that ends in one of "
            f"{', '.join(_FORMS)}, which decides the form"
        )
    return form
