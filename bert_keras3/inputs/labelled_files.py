"""Several files of labelled texts, read as if they were one."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.labelled_file import (
    Description,
    LabelledFile,
    missing_notes,
)
from bert_keras3.inputs.several_files import SeveralFiles, decision_on


@dataclasses.dataclass(frozen=True)
class LabelledFiles(SeveralFiles):
    """An iterable of examples, with the interface of `LabelledFile`."""

    files: tuple[LabelledFile, ...]

    def with_classes(self, classes: tuple[str, ...]) -> LabelledFiles:
        """Returns the same files, whose labels may be numbers of classes."""
        return self._each(lambda file: file.with_classes(classes))

    def with_features(self, names: Sequence[str]) -> LabelledFiles:
        """Returns the same files with these extra columns of the first."""
        first = self.files[0].columns
        order = [first.names[index] for index in first.features]
        chosen = [order.index(name) for name in names]

        def narrowed(file: LabelledFile) -> LabelledFile:
            columns = file.columns
            own = [columns.names[columns.features[one]] for one in chosen]
            return file.with_features(own)

        return self._each(narrowed)

    def _each(
        self, change: Callable[[LabelledFile], LabelledFile]
    ) -> LabelledFiles:
        return LabelledFiles(tuple(map(change, self.files)))

    def placed(self, example: InputExample, path: pathlib.Path) -> InputExample:
        """Returns an example that names the file that it is in."""
        place = f"{path}, line {example.line}"
        return dataclasses.replace(example, place=place)

    def notes(self) -> tuple[str, ...]:
        """Returns what was met in any of them."""
        missing = sum(
            (file.missing for file in self.files), collections.Counter()
        )
        headers = (file.header_notes() for file in self.files)
        return (*sum(headers, ()), *missing_notes(missing))

    def describe(self, count: int = 3) -> Description:
        """Returns what was detected about the first, and its first examples.

        Args:
            count: how many examples.
        """
        found = self.files[0].describe(count)
        files = decision_on([file.path for file in self.files])
        return found._replace(decisions=(*files, *found.decisions))
