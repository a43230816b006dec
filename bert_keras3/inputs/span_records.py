"""Records of texts with spans or tokens with tags: their keys and values.

The same is said by

    {"text": "Smith sang", "label": [[0, 5, "PER"]]}
    {"text": "Smith sang", "entities": [{"start": 0, "end": 5, "label": "PER"}]}
    {"text": "Smith sang", "label": {"PER": {"Smith": [[0, 4]]}}}
    {"tokens": ["Smith", "sang"], "tags": ["B-PER", "O"]}
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs.encodings import (
    excerpt,
)
from bert_keras3.safekeeping.errors import UserError

TEXT_KEYS = ("text", "data", "sentence", "content")
TOKEN_KEYS = ("tokens", "words")
SPAN_KEYS = ("entities", "label", "labels", "spans", "annotations")
TAG_KEYS = ("ner_tags", "tags", "labels", "label")
ID_KEYS = ("id", "guid", "uid", "doc_id")
START_KEYS = ("start_offset", "start", "begin", "start_idx")
END_KEYS = ("end_offset", "end", "end_idx")
TYPE_KEYS = ("label", "type", "entity_type", "entity_group", "tag")
SURFACE_KEYS = ("text", "word", "entity", "mention")

LISTS, OBJECTS, NESTED, TAGS = "lists", "objects", "nested", "tags"
"""How labels are written: [[0, 5, "PER"]], [{"start": 0, …}], {"PER": {…}},
or a tag for each token."""


@dataclasses.dataclass(frozen=True)
class JsonLayout:
    """Which key of a record is what.

    Attributes:
        text: of the text, or of the list of tokens.
        labels: of spans or tags; None: there are none.
        id: of the id; None: there is none.
        kind: how labels are written.
        names: of an object's start, end and type.
        inclusive: whether a span's end is its last character.
    """

    text: str
    labels: str | None
    id: str | None
    kind: str = OBJECTS
    names: tuple[str, str, str] = ("start", "end", "label")
    inclusive: bool = False


def find_layout(
    path: pathlib.Path,
    first: Sequence[tuple[int, Mapping[str, Any]]],
    want_labels: bool,
) -> JsonLayout:
    """Finds the keys by their names, and the kind of the labels."""
    line, record = first[0]
    where = f"{path}, line {line}"
    has_tokens = any(isinstance(record.get(one), list) for one in TOKEN_KEYS)
    text_keys = TOKEN_KEYS if has_tokens else TEXT_KEYS
    text = next((one for one in text_keys if one in record), None)
    if text is None:
        raise UserError(
            f"{where}: there is no text; it is sought under "
            f"{', '.join(map(repr, (*TEXT_KEYS, *TOKEN_KEYS)))}, and there are "
            f"{listed_keys(record)}. Rename its key."
        )
    guid = next((one for one in ID_KEYS if one in record), None)
    kind = TAGS if has_tokens else OBJECTS
    for key in TAG_KEYS if has_tokens else SPAN_KEYS:
        values = [one[key] for _, one in first if key in one]
        full = [one for one in values if one]
        if not values:
            continue
        if not has_tokens and not all(
            isinstance(one, (list, dict)) for one in full
        ):
            continue
        names = ("start", "end", "label")
        if full and isinstance(full[0], dict):
            kind = NESTED
        elif full and not has_tokens:
            one = full[0][0]
            kind = OBJECTS if isinstance(one, dict) else LISTS
            if kind == OBJECTS:
                names = (
                    next((k for k in START_KEYS if k in one), names[0]),
                    next((k for k in END_KEYS if k in one), names[1]),
                    next((k for k in TYPE_KEYS if k in one), names[2]),
                )
        return JsonLayout(text, key, guid, kind, names)
    if want_labels:
        raise UserError(_no_labels(where, record, has_tokens))
    return JsonLayout(text, None, guid, kind)


def _no_labels(where: str, record: Mapping[str, Any], has_tokens: bool) -> str:
    """Returns the message on a record without spans or tags."""
    sought = TAG_KEYS if has_tokens else SPAN_KEYS
    for key in sought:
        if isinstance(record.get(key), (str, int, float)):
            return (
                f"{where}: {key!r} is {excerpt(str(record[key]))}, one label "
                'for the whole text; a tagger needs places, as [[0, 5, "PER"]]'
                ", or a list of tokens with a list of tags. Texts with one "
                "label are for run_classifier."
            )
    if "data" in record and isinstance(record["data"], list):
        return (
            f"{where}: the file is one list of records under 'data', as files "
            "of questions are (run_squad reads them); write one object a "
            "line, with a text and its spans"
        )
    return (
        f"{where}: there are no spans or tags; they are sought under "
        f"{', '.join(map(repr, sought))}, and there are "
        f"{listed_keys(record)}. Rename their key."
    )


def spans_in(
    where: str, labels: Any
) -> Iterator[tuple[int, int, str, str | None]]:
    """Yields (start, end, type, text or None) of labels of any kind.

    Args:
        where: file and line, for messages.
        labels: the value in a record; null is as good as none.

    Raises:
        UserError: it is not of one of the kinds.
    """
    if labels is None:
        return
    if isinstance(labels, dict):
        for kind, surfaces in labels.items():
            if not isinstance(surfaces, dict):
                raise _no_spans(where, surfaces)
            for surface, places in surfaces.items():
                if not isinstance(places, list):
                    raise _no_spans(where, places)
                for place in places:
                    if not _are_places(place, 2):
                        raise _no_spans(where, place)
                    yield place[0], place[1], kind, surface
        return
    if not isinstance(labels, list):
        raise _no_spans(where, labels)
    for one in labels:
        if isinstance(one, dict):
            start, end, kind, surface = (
                _value(one, keys)
                for keys in (START_KEYS, END_KEYS, TYPE_KEYS, SURFACE_KEYS)
            )
            if not _are_places([start, end, kind], 3) or not isinstance(
                kind, str
            ):
                raise _no_spans(where, one)
            text = surface if isinstance(surface, str) else None
            yield start, end, kind, text
        elif _are_places(one, 3) and isinstance(one[2], str):
            yield one[0], one[1], one[2], None
        else:
            raise _no_spans(where, one)


def _value(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((record[key] for key in keys if key in record), None)


def _are_places(value: Any, length: int) -> bool:
    """Whether a list has this length and begins with two whole numbers."""
    return (
        isinstance(value, list)
        and len(value) == length
        # true and false are no numbers.
        and all(type(one) is int for one in value[:2])
    )


def _no_spans(where: str, value: Any) -> UserError:
    return UserError(
        f"{where}: {excerpt(json.dumps(value, ensure_ascii=False))} is no "
        'span; give [start, end, "TYPE"], or {"start": …, "end": …, '
        '"label": "TYPE"}, with whole numbers that count characters from 0'
    )


def texts_in(where: str, key: str, value: Any) -> tuple[str, ...]:
    """Returns a list of texts.

    Args:
        where: file and line, for messages.
        key: of the value, for messages.
        value: in a record.

    Raises:
        UserError: it is none.
    """
    if not isinstance(value, list) or not all(
        isinstance(one, str) for one in value
    ):
        hint = ""
        if isinstance(value, list) and all(type(one) is int for one in value):
            hint = "; write the names of tags, such as B-PER, not their numbers"
        raise UserError(
            f"{where}: {key!r} must be a list of texts, and is "
            f"{excerpt(json.dumps(value, ensure_ascii=False))}{hint}"
        )
    return tuple(value)


def listed_keys(record: Mapping[str, Any]) -> str:
    """Returns the first keys of a record, for messages."""
    return ", ".join(map(repr, list(record)[:12])) or "none"
