"""Files of class names: one a line, in the order of their numbers."""

from __future__ import annotations

import collections
import os
import pathlib

from bert_keras3.safekeeping.errors import UserError


def read_labels(
    labels_file: str | os.PathLike[str], count: int
) -> tuple[str, ...]:
    """Reads the names of a classifier's labels.

    Args:
        labels_file: one name a line, after a header or not; UTF-8.
        count: rows of the classifier's `output_weights`.

    Raises:
        UserError: the file cannot be read, or does not fit the classifier.
    """
    path = pathlib.Path(labels_file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"--labels_file={path}: cannot be read ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--labels_file={path}: the byte at offset {error.start} is "
            "not UTF-8; save the file as UTF-8"
        ) from error
    labels = [line.strip() for line in text.split("\n") if line.strip()]
    if len(labels) == count + 1:
        del labels[0]  # a header
    if len(labels) != count:
        raise UserError(
            f"--labels_file={path}: has {len(labels)} lines, the "
            f"checkpoint's `output_weights` have {count} rows; name "
            "every label once, in the order of the rows"
        )
    times = collections.Counter(labels)
    twice = [label for label, number in times.items() if number > 1]
    if twice:
        raise UserError(
            f"--labels_file={path}: names {twice[0]!r} twice; every row "
            "of `output_weights` needs a name of its own"
        )
    return tuple(labels)
