"""Records that are checked against the model, in batches for one training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from bert_keras3.inputs import records
from bert_keras3.inputs.records import Records
from bert_keras3.pretraining import batches
from bert_keras3.pretraining.batches import BatchOrder, RecordForm
from bert_keras3.pretraining.objective import (
    PREDICTIONS_PER_EXAMPLE,
    TOKENS_TO_UPDATE,
)
from bert_keras3.safekeeping.errors import UserError
from modeling.config import BertConfig
from modeling.losses import NO_PREDICTIONS

Batch = dict[str, np.ndarray]

# The arrays of a batch with one value per token.
PER_TOKEN = (records.INPUT_IDS, records.INPUT_MASK, records.SEGMENT_IDS)

# Keys whose values are ids, and the field with the number of ids.
_TABLES = (
    (records.INPUT_IDS, "vocab_size"),
    (records.SEGMENT_IDS, "type_vocab_size"),
    (records.MASKED_LM_IDS, "vocab_size"),
)


@dataclasses.dataclass(frozen=True)
class CheckedRecords:
    """Records that fit a model.

    Attributes:
        flag: name of the flag with their path, for messages.
        found: the records.
        config: of the model.
        form: the contents of each record.
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
        """Returns a function for `training.fit`: step → batches from it on.

        The order is shuffled for each epoch and masks are drawn for each
        batch; both depend only on the seed and the step.

        Args:
            batch_size: B; a batch may have examples of two epochs.
            seed: of order and masks.
            lazily: add the different token ids of each batch, of inputs and
                labels, as `TOKENS_TO_UPDATE`.
        """

        def from_step(step: int) -> Iterator[Batch]:
            order = BatchOrder(batch_size, seed, seed, first_step=step)
            for batch in self._read(order):
                num_masked = batch[records.MASKED_LM_WEIGHTS].sum(
                    dtype=np.float64
                )
                share = (num_masked + NO_PREDICTIONS) / batch_size
                more = {
                    PREDICTIONS_PER_EXAMPLE: np.full(
                        batch_size, share, np.float32
                    )
                }
                if lazily:
                    ids = np.union1d(
                        batch[records.INPUT_IDS], batch[records.MASKED_LM_IDS]
                    )
                    more[TOKENS_TO_UPDATE] = np.broadcast_to(
                        ids.astype(np.int32), (batch_size, len(ids))
                    )
                yield batch | more

        return from_step

    def evaluation_batches(
        self, batch_size: int, most: int
    ) -> Iterator[tuple[np.ndarray, Batch]]:
        """Yields the records once, in order, for a `Predictor`.

        Masks are the same in every evaluation.

        Args:
            batch_size: the last batch may have fewer examples.
            most: maximum number of batches.

        Yields:
            (numbers of the records, batch).
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
            check_ids(batch, self.config, f"--{self.flag}")
            yield batch

    def check(self) -> None:
        """Checks the first thousand records against the flags and the model.

        All others are checked when they are read.

        Raises:
            UserError: they have other columns or lengths, or ids that the
                model does not have.
        """
        order = BatchOrder(min(len(self), 1000), repeat=False)
        next(self._read(order))

    def line(self) -> str:
        """Returns the number of records and their files, as text."""
        corrupt = ""
        if self.found.num_corrupt:
            corrupt = f"; {self.found.num_corrupt} corrupt ones are left out"
        names = _names_of(self.found)
        return f"--{self.flag}: {len(self)} records in {names}{corrupt}"

    def identity(self) -> np.ndarray:
        """Returns a uint64 fingerprint of each record."""
        checksums = self.found.checksums().astype(np.uint64)
        return checksums << np.uint64(32) | self.found.lengths.astype(np.uint64)

    def num_also_in(self, other: CheckedRecords) -> int:
        """Returns how many of these records are also in `other`."""
        return int(np.isin(self.identity(), other.identity()).sum())


def open_checked_records(
    flag: str,
    pattern: str,
    config: BertConfig,
    form: RecordForm,
    *,
    skip_corrupt: bool,
) -> CheckedRecords:
    """Opens the records that a flag names.

    Args:
        flag: its name.
        pattern: its value.
        config: of the model.
        form: the contents of each record.
        skip_corrupt: whether damaged records are left out.

    Raises:
        UserError: there are no records, one is damaged, or they do not fit
            the flags and the model.
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


def check_ids(
    batch: Mapping[str, np.ndarray], config: BertConfig, source: str
) -> None:
    """Checks that all ids of a batch exist in the model.

    Args:
        batch: with the keys of `records.masked_columns`.
        config: of the model.
        source: name of the batch for messages.

    Raises:
        UserError: an id is too large.
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
    """Returns the names of the first files, and the number of the others."""
    names: Iterable[str] = found.paths[:most]
    rest = len(found.paths) - most
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")
