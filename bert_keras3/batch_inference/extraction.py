"""Texts → vectors, on a worker."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from bert_keras3.batch_inference.faulty_rows import readable_rows
from bert_keras3.batch_inference.shards import Counts
from bert_keras3.batch_inference.work import Failures
from bert_keras3.vectors.extraction import Extractor
from bert_keras3.vectors.reading import TextFile, open_texts
from bert_keras3.vectors.settings import Extraction


class Vectors:
    """A model in memory; see `work.Answerer`."""

    def __init__(self, wanted: Extraction, concurrency: int) -> None:
        """Loads the model.

        Args:
            wanted: which vectors.
            concurrency: number of batches computed at the same time.
        """
        self._wanted = dataclasses.replace(wanted, concurrency=concurrency)
        self._extractor = Extractor(self._wanted)

    def answer(
        self, path: pathlib.Path, folder: pathlib.Path, failures: Failures
    ) -> Counts:
        """Writes the file of vectors; see `work.Answerer`."""
        wanted = self._wanted

        def texts_of(
            path: pathlib.Path, written: Mapping[str, Any]
        ) -> TextFile:
            choices = dataclasses.replace(wanted.file, **written)
            return open_texts(str(path), choices, wanted.input_format)

        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            rows = readable_rows(
                path,
                wanted.file,
                pathlib.Path(place),
                texts_of,
                failures,
                has_lines=True,
            )
            found = self._extractor.write(
                rows.source,
                folder / os.path.basename(wanted.output_file),
                (number - 1 for number in rows.numbers()),
            )
        failed = failures.number
        return Counts(found.num_texts + failed, found.num_tokens, failed)
