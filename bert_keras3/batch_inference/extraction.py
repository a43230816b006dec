"""Texts → vectors, on a worker."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from bert_keras3.batch_inference.shards import Counts
from bert_keras3.batch_inference.work import Failures
from bert_keras3.vectors.extraction import Extractor
from bert_keras3.vectors.reading import open_texts
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
        texts = open_texts(str(path), wanted.file, wanted.input_format)
        name = os.path.basename(wanted.output_file)
        found = self._extractor.write(texts, folder / name)
        return Counts(found.num_texts, found.num_tokens, 0)
