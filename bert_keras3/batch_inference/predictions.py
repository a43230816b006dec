"""Rows → the predictions of a fine-tuned model, in blocks.

What a row and an answer are is for the task of the model to know: this is the
same for classifiers, taggers and models that answer questions.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from bert_keras3.batch_inference.devices import DeviceChoices
from bert_keras3.batch_inference.faulty_rows import Rows, readable_rows
from bert_keras3.batch_inference.filesystems import absolute, on_this_machine
from bert_keras3.batch_inference.job import Inputs, answer_inputs
from bert_keras3.batch_inference.settings import PredictionFlags
from bert_keras3.batch_inference.shards import Counts, Results, find_inputs
from bert_keras3.batch_inference.work import (
    Failure,
    Failures,
    PredictionWork,
)
from bert_keras3.finetuning import checks
from bert_keras3.finetuning.dataset import Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoded_examples import Examples, Outputs
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.job import keep_checkpoint
from bert_keras3.finetuning.opened_model import (
    open_model,
    padded_as,
    predictor_of,
    uses_folder,
)
from bert_keras3.finetuning.run_folder import MODEL, FinetuningFolder
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import ExampleReader
from bert_keras3.inputs.batches import BatchLimit
from bert_keras3.inputs.feature_store import (
    Column,
    FeatureStore,
    store_in_memory,
)
from bert_keras3.inputs.questions import QuestionExample
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import digest
from bert_keras3.safekeeping.settings import flag_of
from bert_keras3.training.session import Screen
from tokenization.packing import check_max_seq_length

_PREDICTIONS = "predictions"

# A block has this many examples at most,
_EXAMPLES_AT_ONCE = 1 << 14
# and about this many tokens (64 MB of Python's integers).
_TOKENS_AT_ONCE = 1 << 20
# Fields of a job that do not influence its answers beyond rounding.
_WITHOUT_EFFECT = ("train_file", "dev_file", "test_file", "data_dir")


def predict_shards(
    job: Job, devices: DeviceChoices, flags: PredictionFlags, screen: Screen
) -> None:
    """Predicts every file of the test files by itself.

    Args:
        job: of predictions.
        devices: how workers compute.
        flags: the runner, and where predictions are written.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong, or a worker was killed.
    """
    assert flags.runner is not None
    # Workers may have another working directory.
    job = dataclasses.replace(job, output_dir=os.path.abspath(job.output_dir))
    folder = FinetuningFolder(job.output_dir)
    checks.check_flags(job)
    value = job.data.test_file
    if not job.do_predict or value is None:
        raise UserError(
            f"--runner={flags.runner} is for --do_predict with files of your "
            "own: give both"
        )
    inputs = Inputs(value, _flag_of_files(job))
    first = find_inputs(inputs.value, inputs.flag)[0]
    with tempfile.TemporaryDirectory() as place:
        if not uses_folder(job, folder):
            with on_this_machine(first, pathlib.Path(place)) as path:
                keep_checkpoint(_of_file(job, path), screen)
    checks.check_same_model(job, folder)
    results = Results(
        absolute(
            flags.predictions_dir or os.path.join(job.output_dir, _PREDICTIONS)
        ),
        _PREDICTIONS,
        "predictions_dir",
    )
    work = PredictionWork(job, devices)
    answer_inputs(work, _identity(work), inputs, results, flags, screen)


def _identity(work: PredictionWork) -> dict[str, Any]:
    """Returns what the answers depend on beside the rows."""
    job = work.job
    folder = FinetuningFolder(job.output_dir)
    data = dataclasses.asdict(job.data)
    return {
        "model": digest(folder / MODEL),
        "trained": dataclasses.asdict(folder.read_settings()),
        "data": {
            name: value
            for name, value in data.items()
            if name not in _WITHOUT_EFFECT
        },
        "unpad": job.unpad,
        "mixed_precision": work.devices.mixed_precision,
    }


def _flag_of_files(job: Job) -> str:
    """Returns the name of the flag of the test files."""
    for field in dataclasses.fields(job.data):
        about = flag_of(field)
        if field.name == "test_file" and about is not None:
            return about.name
    raise TypeError(f"{type(job.data).__name__} has no test_file")


def _of_file(job: Job, path: pathlib.Path) -> Job:
    data = dataclasses.replace(job.data, test_file=str(path))
    return dataclasses.replace(job, data=data)


class Predictions:
    """A fine-tuned model in memory; see `work.Answerer`."""

    def __init__(self, job: Job, precision: str, concurrency: int) -> None:
        """Loads the model in the output folder of a job.

        Args:
            job: of predictions.
            precision: a key of `training.settings.PRECISIONS`.
            concurrency: number of batches computed at the same time.
        """
        computing = dataclasses.replace(
            job.training.computing, mixed_precision=precision
        )
        job = dataclasses.replace(
            job,
            training=dataclasses.replace(job.training, computing=computing),
            concurrency=concurrency,
        )
        opened = open_model(job, FinetuningFolder(job.output_dir))
        self._job = job
        self._opened = opened
        self._task = opened.settings.task
        self._predictor = predictor_of(job, opened.model, self._task)
        self._limit = BatchLimit(job.predict_batch_size, job.batch_tokens)

    def answer(
        self, path: pathlib.Path, folder: pathlib.Path, failures: Failures
    ) -> Counts:
        """Writes the files of predictions; see `work.Answerer`."""
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            rows = readable_rows(
                path,
                _file_choices(self._job),
                pathlib.Path(place),
                self._source,
                failures,
            )
            source = rows.source
            length = self._opened.encoder.max_seq_length
            check_max_seq_length(length, pair=source.takes_pairs)
            counted = _Counted(failures, rows=failures.number)
            answers = self._answers(rows, counted)
            self._task.write_answers(folder, source, answers)
        if counted.answers + failures.number != counted.rows:
            raise AssertionError(
                f"{path}: {counted.rows} rows, {counted.answers} answers and "
                f"{failures.number} failures"
            )
        return Counts(counted.rows, counted.tokens, failures.number)

    def _source(self, path: pathlib.Path, written: Mapping[str, Any]) -> Source:
        """Opens a file as the plain script does.

        Args:
            path: the file.
            written: how it is written, in place of what the user says.
        """
        data = _of_file(self._job, path).data
        settings = self._opened.settings
        kind = kind_of(data, settings)
        return kind.find(_written(data, written), settings).source("test")

    def _answers(self, rows: Rows[Source], counted: _Counted) -> Iterator[Any]:
        source, encoder = rows.source, self._opened.encoder
        # With a survey of its own: one shard is not counted with another.
        reader = self._task.reader(
            TextEncoder(encoder.tokenizer, encoder.max_seq_length), None
        )
        # Those without an identifier have their number in the shard.
        renumber = bool(rows.left_out) and not source.has_ids
        numbered = (
            (number, _with_number(example, number) if renumber else example)
            for number, example in zip(rows.numbers(), source, strict=False)
        )
        for examples, store in _blocks(numbered, reader, counted):
            store = padded_as(
                self._job, store, self._task, encoder.max_seq_length
            )
            numbers = np.arange(len(examples))
            block = cast(Source, _Block(source, examples))
            encoded = Examples(block, store, numbers, encoder.tokenizer)
            outputs = self._outputs(encoded)
            for one in self._task.answers(outputs, encoded):
                counted.answers += 1
                yield one

    def _outputs(self, examples: Examples) -> Outputs:
        inputs = self._task.inputs
        if len(examples.rows):
            return examples.outputs(self._predictor, self._limit, inputs)
        # Of a row that counts nowhere the outputs have the right types.
        columns = examples.store.columns
        store = store_in_memory([(0, _any_row(columns))], columns)
        one = dataclasses.replace(
            examples, store=store, numbers=np.arange(1)
        ).outputs(self._predictor, self._limit, inputs)
        return {name: values[:0] for name, values in one.items()}


@dataclasses.dataclass
class _Counted:
    """What was met so far."""

    failures: Failures
    rows: int = 0
    tokens: int = 0
    answers: int = 0


class _Block:
    """Some examples of a file that follow one another, as a source."""

    def __init__(self, source: Source, examples: Sequence[Any]) -> None:
        self._source = source
        self._examples = examples

    def __iter__(self) -> Iterator[Any]:
        return iter(self._examples)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def _with_number(example: Any, number: int) -> Any:
    """Returns an example with its number as its identifier."""
    is_question = isinstance(example, QuestionExample)
    name = "question_id" if is_question else "guid"
    return dataclasses.replace(example, **{name: str(number)})


def _file_choices(job: Job) -> FileChoices:
    """Returns what the flags say about how files are written."""
    data: Any = job.data
    given = getattr(data, "file", data)
    names = (field.name for field in dataclasses.fields(FileChoices))
    return FileChoices(
        **{name: getattr(given, name) for name in names if hasattr(given, name)}
    )


def _written(data: Any, written: Mapping[str, Any]) -> Any:
    """Returns settings of files that are written so."""
    names = {field.name for field in dataclasses.fields(data)}
    if "file" in names:
        return dataclasses.replace(data, file=_written(data.file, written))
    known = {name: written[name] for name in names & set(written)}
    return dataclasses.replace(data, **known)


def _blocks(
    numbered: Iterable[tuple[int, Any]],
    reader: ExampleReader,
    counted: _Counted,
) -> Iterator[tuple[list[Any], FeatureStore]]:
    """Yields some examples with their features, until there are no more."""
    examples: list[Any] = []
    rows: list[tuple[int, Mapping[str, Any]]] = []
    num_tokens = 0

    def store() -> FeatureStore:
        counted.tokens += num_tokens
        found = store_in_memory(rows, reader.columns)
        return reader.finish(found)[1] if rows else found

    for number, example in numbered:
        counted.rows += 1
        try:
            found = list(reader.rows(example))
        except UserError as error:
            text = " ".join(filter(None, example.texts))
            counted.failures.add(
                Failure(number, example.line, str(error), text)
            )
            continue
        rows += ((len(examples), row) for row in found)
        examples.append(example)
        num_tokens += sum(len(row["input_ids"]) for row in found)
        if len(examples) == _EXAMPLES_AT_ONCE or num_tokens >= _TOKENS_AT_ONCE:
            yield examples, store()
            examples, rows, num_tokens = [], [], 0
    if examples:
        yield examples, store()


def _any_row(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Returns a row of two tokens, all of whose values are 0."""
    return {
        name: np.zeros(
            ((2,) if column.per_token else ()) + column.shape,
            column.stored_dtype,
        )
        for name, column in columns.items()
    }
