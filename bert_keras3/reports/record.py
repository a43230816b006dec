"""What the folder of a run says of it, whether it is finished or not.

Nothing here needs the model: settings, log, results and predictions are read
from their files, and the texts from the data files again.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bert_keras3.finetuning import run_folder
from bert_keras3.finetuning.dataset import Dataset, Source
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.provenance import data_settings
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.run_folder import EVAL_JSON, LOG, STATE
from bert_keras3.training.state import read_numbers

_DEV = "dev"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        folder: of the run.
        settings: the task, and how its data was read.
        split: which evaluation it is about: "dev", or a further split of a
            benchmark, such as "dev_mismatched".
    """

    folder: FinetuningFolder
    settings: RunSettings
    split: str = _DEV

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunRecord:
        """Opens the record of a run.

        Raises:
            UserError: no run was ever started in this folder.
        """
        folder = FinetuningFolder(path)
        return cls(folder, folder.read_settings())

    def further(self) -> list[RunRecord]:
        """Returns the records of what else the run was evaluated on."""
        every = self.folder.run.read_json(run_folder.DATA_REPORT) or {}
        splits = [split for split in every if split.startswith(f"{_DEV}_")]
        records = [dataclasses.replace(self, split=one) for one in splits]
        return [record for record in records if record.results]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.path.resolve().name

    @property
    def evaluation(self) -> FinetuningFolder:
        """The folder of the results for the split."""
        if self.split == _DEV:
            return self.folder
        return FinetuningFolder(self.folder / self.split)

    @property
    def page(self) -> pathlib.Path:
        """Where the report on the split is written."""
        return self.evaluation / run_folder.REPORT

    @functools.cached_property
    def results(self) -> Mapping[str, Any]:
        """The last evaluation of the best weights; {} if there is none."""
        return self.evaluation.run.read_json(EVAL_JSON) or {}

    @functools.cached_property
    def data_report(self) -> Mapping[str, Mapping[str, Any]]:
        """{split: report on its file}, without other evaluations."""
        every = self.folder.run.read_json(run_folder.DATA_REPORT) or {}
        return {
            split: about
            for split, about in every.items()
            if split == self.split or not split.startswith(_DEV)
        }

    @functools.cached_property
    def provenance(self) -> Mapping[str, Mapping[str, Any]]:
        """Of the "training" and of the last "evaluation"."""
        return self.folder.run.read_json(run_folder.PROVENANCE) or {}

    @property
    def given_settings(self) -> list[tuple[str, str]]:
        """(flag, value) of the training, the commonest first."""
        given = dict(self.provenance.get("training", {}).get("training", {}))
        computing = given.pop("computing", {})
        values = {
            "max_seq_length": self.settings.max_seq_length,
            "do_lower_case": self.settings.do_lower_case,
            **given,
            **computing,
        }
        return [
            (name, str(value))
            for name, value in values.items()
            if value is not None
        ]

    @functools.cached_property
    def progress(self) -> Mapping[str, Any]:
        """The numbers of the training loop; {} if no state was saved."""
        return read_numbers(self.folder / STATE) or {}

    @functools.cached_property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the training log, but for one that is cut short."""
        return list(_json_lines(self.folder / LOG))

    def predictions(self) -> Iterator[dict[str, Any]]:
        """Yields what was predicted for the evaluated examples, in order."""
        return _json_lines(self.evaluation / run_folder.EVALUATED)

    @functools.cached_property
    def confusion(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Its C labels and counts, int64 [C, C]; None if there are none.

        Rows are true labels.
        """
        path = self.evaluation / run_folder.CONFUSION
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
        except FileNotFoundError:
            return None
        counts = np.array([row[1:] for row in rows[1:]], np.int64)
        return tuple(rows[0][1:]), counts

    @functools.cached_property
    def label_issues(self) -> list[dict[str, str]]:
        """The rows of `--find_label_errors`, the likeliest errors first."""
        path = self.folder / run_folder.ISSUES
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []

    # The data files.

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data of the last evaluation, else of the training.

        Raises:
            UserError: it is not known, or a file cannot be read.
        """
        made_by = self.provenance.get("evaluation") or self.provenance.get(
            "training"
        )
        if made_by is None:
            raise UserError(f"{self.folder.path}: does not name its data files")
        data = data_settings(made_by)
        found: Dataset = kind_of(data, self.settings).find(data, self.settings)
        return found

    @functools.cached_property
    def held_out(self) -> Source | None:
        """The evaluated examples, if they are some of the training file."""
        if self.split != _DEV:
            return None
        return self.dataset.held_out(self.folder)

    def evaluated(self) -> Source:
        """Opens the file of the evaluated examples.

        Raises:
            UserError: it is not known, or cannot be read.
        """
        return self.held_out or self.dataset.source(self.split)

    def trained_on(self) -> Source:
        """Opens the training file.

        Raises:
            UserError: it is not known, or cannot be read.
        """
        made_by = self.provenance.get("training")
        if made_by is None:
            raise UserError(f"{self.folder.path}: was not trained here")
        data = data_settings(made_by)
        source: Source = (
            kind_of(data, self.settings)
            .find(data, self.settings)
            .source("train")
        )
        return source


def _json_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                # A training that runs, or was killed, may have cut it.
                if line.endswith("\n"):
                    yield json.loads(line)
    except FileNotFoundError:
        return
    except ValueError as error:
        raise UserError(f"{path}: is damaged: {error}") from error
