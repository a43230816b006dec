"""Records for one training: opened, checked against the model, in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.inputs.records import Records
from bert_keras3.pretraining import batches
from bert_keras3.pretraining.batches import BatchOrder, RecordForm
from bert_keras3.pretraining.objective import (
    MOVED_WORDS,
    PREDICTIONS_PER_EXAMPLE,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from modeling.losses import NO_PREDICTIONS

Batch = dict[str, np.ndarray]

# What batches have a value for each token of.
PER_TOKEN = (records.INPUT_IDS, records.INPUT_MASK, records.SEGMENT_IDS)

# Keys whose numbers are rows of one of the model's tables.
_TABLES = (
    (records.INPUT_IDS, "vocab_size"),
    (records.SEGMENT_IDS, "type_vocab_size"),
    (records.MASKED_LM_IDS, "vocab_size"),
)


@dataclasses.dataclass(frozen=True)
class CheckedRecords:
    """Records and how they are read.

    Attributes:
        flag: the flag that names them, for messages.
        found: the records.
        config: of the model that they are for.
        form: what each of them holds.
    """

    flag: str
    found: Records
    config: BertConfig
    form: RecordForm

    def __len__(self) -> int:
        """Returns the number of records."""
        return len(self.found)

    def training_batches(
        self, batch_size: int, seed: int, *, lazily: bool = False
    ) -> Callable[[int], Iterator[Batch]]:
        """Returns a function for `training.fit`: step → batches from there on.

        Each epoch has an order, and each batch masks, of its own; all of it
        follows from the seed and the step.

        Args:
            batch_size: examples of a batch, B; it may span two epochs.
            seed: of order and masks.
            lazily: add the different token ids of each batch, those of its
                inputs and those to be predicted, as `MOVED_WORDS`.
        """

        def from_step(step: int) -> Iterator[Batch]:
            order = BatchOrder(batch_size, seed, seed, first_step=step)
            for batch in self._read(order):
                words = batch[records.MASKED_LM_WEIGHTS].sum(dtype=np.float64)
                share = (words + NO_PREDICTIONS) / batch_size
                more = {
                    PREDICTIONS_PER_EXAMPLE: np.full(
                        batch_size, share, np.float32
                    )
                }
                if lazily:
                    moved = np.union1d(
                        batch[records.INPUT_IDS], batch[records.MASKED_LM_IDS]
                    )
                    more[MOVED_WORDS] = np.broadcast_to(
                        moved.astype(np.int32), (batch_size, len(moved))
                    )
                yield batch | more

        return from_step

    def evaluation_batches(
        self, batch_size: int, most: int
    ) -> Iterator[tuple[np.ndarray, Batch]]:
        """Yields records once, in order, as `Predictor` wants them.

        Masks that are drawn are the same at every evaluation.

        Args:
            batch_size: examples of a batch; the last may have fewer.
            most: batches at most.

        Yields:
            (positions, batch).
        """
        first = 0
        in_order = self._read(BatchOrder(batch_size, repeat=False))
        for _, batch in zip(range(most), in_order, strict=False):
            rows = len(batch[records.INPUT_IDS])
            yield np.arange(first, first + rows), batch
            first += rows

    def _read(self, order: BatchOrder) -> Iterator[Batch]:
        dataset = batches.dataset(self.found, self.form, order)
        for batch in dataset.as_numpy_iterator():
            check_numbers(batch, self.config, f"--{self.flag}")
            yield batch

    def check(self) -> None:
        """Checks the first records against the flags and the model.

        All others are checked when their turn comes.

        Raises:
            UserError: they have other columns or lengths, or numbers that
                the model has no row for.
        """
        order = BatchOrder(min(len(self), 1000), repeat=False)
        next(self._read(order))

    def line(self) -> str:
        """Returns how many records there are, for the user."""
        corrupt = ""
        if self.found.num_corrupt:
            corrupt = f"; {self.found.num_corrupt} corrupt ones are left out"
        names = _names_of(self.found)
        return f"--{self.flag}: {len(self)} records in {names}{corrupt}"

    def identity(self) -> np.ndarray:
        """Returns a number for each record that tells it from others."""
        checksums = self.found.checksums().astype(np.uint64)
        return checksums << np.uint64(32) | self.found.lengths.astype(np.uint64)

    def num_also_in(self, other: CheckedRecords) -> int:
        """Returns how many of these records the other has as well."""
        return int(np.isin(self.identity(), other.identity()).sum())


def open_checked_records(
    flag: str,
    pattern: str,
    config: BertConfig,
    form: RecordForm,
    *,
    skip_corrupt: bool,
) -> CheckedRecords:
    """Opens the files that a flag names.

    Args:
        flag: its name.
        pattern: its value.
        config: of the model.
        form: what each record has to hold.
        skip_corrupt: leave damaged records out.

    Raises:
        UserError: there are none, one is damaged and may not be, or they are
            not what the flags and the model need.
    """
    try:
        found = records.open_records(pattern, skip_corrupt=skip_corrupt)
    except records.CorruptRecordError:
        raise
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from error
    opened = CheckedRecords(flag, found, config, form)
    opened.check()
    return opened


def check_numbers(
    batch: Mapping[str, np.ndarray], config: BertConfig, source: str
) -> None:
    """Checks that the model has a row for every number.

    Args:
        batch: under the keys of `records.masked_columns`.
        config: of the model.
        source: what to call the batch.

    Raises:
        UserError: one is too large.
    """
    for key, field in _TABLES:
        largest, rows = int(batch[key].max(initial=0)), getattr(config, field)
        if largest >= rows:
            raise UserError(
                f"{source}: a record has {largest} in `{key}`, and the model "
                f"has {rows} rows for it ({field}); use the configuration "
                "and the vocabulary that belong together"
            )


def _names_of(found: Records, most: int = 3) -> str:
    """Returns the files' names, the first few of many, in one line."""
    names: Iterable[str] = found.paths[:most]
    rest = len(found.paths) - most
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")
