"""Writes texts from tables and question files as text for pretraining.

    python -m examples.make_text reviews.csv reviews.txt --text_column=review
    python -m examples.make_text squad_style.json contexts.txt

Every row, or paragraph of a file in SQuAD's form, becomes a document: a
sentence on each line, an empty line at the end. Texts that come again are
left out, and so are those of the tables named by --without.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Iterator

from bert_keras3.inputs.labelled_file import LabelledFile
from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.files import atomic_write

# Behind these a sentence ends; in Latin script a space has to follow.
_SENTENCE_END = re.compile(r"(?<=[。！？；])|(?<=[.!?])\s+")


def texts_of(path: pathlib.Path, text_column: str | None) -> Iterator[str]:
    """Yields the texts of a table, or the paragraphs of a `.json` file."""
    if path.suffix == ".json":
        for article in json.loads(path.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                yield paragraph["context"]
        return
    choices = FileChoices(text=text_column, text_pair="none", id="none")
    for example in LabelledFile.open(path, choices, want_label=False):
        yield example.text_a


def document(text: str) -> str:
    """Returns a text with a sentence on each line."""
    lines = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return "\n".join(filter(None, lines))


def main() -> None:
    """Reads the arguments and writes the text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--text_column", help="name or number, from 1")
    parser.add_argument(
        "--without",
        type=pathlib.Path,
        action="append",
        default=[],
        help="a table whose texts are left out, such as the dev set",
    )
    arguments = parser.parse_args()
    seen = {
        document(text)
        for path in arguments.without
        for text in texts_of(path, arguments.text_column)
    }
    count = 0
    with atomic_write(arguments.target) as file:
        for text in texts_of(arguments.source, arguments.text_column):
            lines = document(text)
            if lines and lines not in seen:
                seen.add(lines)
                count += 1
                file.write(f"{lines}\n\n")
    sys.stdout.write(f"{count} documents: {arguments.target}\n")


if __name__ == "__main__":
    main()
