"""JSON lines of texts with marked spans, or of tokens with tags.

What doccano writes,

    {"id": 7, "text": "Smith sang", "label": [[0, 5, "PER"]]}

is said as well by `"entities": [{"start_offset": 0, "end_offset": 5, "label":
"PER"}]`, by CLUENER's `"label": {"PER": {"Smith": [[0, 4]]}}`, where ends are
inclusive, and by `{"tokens": ["Smith", "sang"], "tags": ["B-PER", "O"]}`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.inputs.delimited import Decision, json_records
from bert_keras3.inputs.encodings import (
    decoded_lines,
    excerpt,
    find_encoding,
    first_fault,
    undecodable,
)
from bert_keras3.inputs.span_ends import EndVotes
from bert_keras3.inputs.tagged_text import (
    ENDINGS,
    PREDICTIONS,
    Found,
    TaggedChoices,
    TaggedText,
    checked_span,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write

FORM = "json"

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

# Records by which the form is detected.
_LOOKED_AT = 1000


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


@dataclasses.dataclass(frozen=True)
class JsonFile:
    """A file of JSON lines, bound to its layout.

    Attributes:
        path: the file.
        encoding: a Python codec.
        keys: which key is what.
        written: the layout of labels that are written.
        decisions: what was detected.
    """

    path: pathlib.Path
    encoding: str
    keys: JsonLayout
    written: JsonLayout
    decisions: tuple[Decision, ...] = ()

    @classmethod
    def open(
        cls,
        path: pathlib.Path,
        choices: TaggedChoices,
        like: Mapping[str, Any] | None = None,
        *,
        want_labels: bool = True,
    ) -> JsonFile:
        """Opens a file and detects its keys.

        Args:
            path: a file that is there and not empty.
            choices: what the user has given.
            like: `layout` of the training file, whose labels are written.
            want_labels: False for a file to predict.

        Raises:
            UserError: a line is no JSON, keys are missing.
        """
        encoding, how = find_encoding(path, choices.encoding)
        decisions = [
            Decision("form", "JSON lines", "its first line"),
            Decision("encoding", encoding, how),
        ]
        first = _first_records(path, encoding)
        keys = _layout(path, first, want_labels)
        unlabelled = dataclasses.replace(keys, labels=None)
        decisions.append(Decision("text", keys.text, "its name"))
        if keys.labels is not None:
            decisions.append(
                Decision("labels", f"{keys.labels} ({keys.kind})", "its value")
            )
        file = cls(path, encoding, keys, keys)
        if keys.labels is not None and keys.kind != TAGS:
            trained = None
            if like and like.get("form") == FORM:
                trained = bool(like["keys"]["inclusive"])
            inclusive, why = file._ends(choices.span_end, trained, want_labels)
            keys = dataclasses.replace(keys, inclusive=inclusive)
            name = "inclusive" if inclusive else "exclusive"
            decisions.append(Decision("ends of spans", name, why))
        written = keys
        if keys.labels is None and like and like.get("form") == FORM:
            like_it = JsonLayout(
                **{**like["keys"], "names": tuple(like["keys"]["names"])}
            )
            if (like_it.kind == TAGS) == (keys.kind == TAGS):
                written = dataclasses.replace(like_it, text=keys.text)
        if not want_labels:
            keys = unlabelled
        return cls(path, encoding, keys, written, tuple(decisions))

    @property
    def has_labels(self) -> bool:
        """Whether there are spans or tags."""
        return self.keys.labels is not None

    @property
    def is_text(self) -> bool:
        """Whether there are texts, and not tokens."""
        return self.keys.kind != TAGS

    @property
    def layout(self) -> Mapping[str, Any]:
        """The keys, as JSON values."""
        return {"form": FORM, "keys": dataclasses.asdict(self.keys)}

    def __iter__(self) -> Iterator[TaggedText]:
        """Streams the texts.

        Raises:
            UserError: a key is missing, a value is of another type, a span is
                not in its text, an id occurs twice.
        """
        seen: dict[str, int] = {}
        for number, (line, record) in enumerate(self._records(), 1):
            guid = str(number)
            if self.keys.id is not None and self.keys.id in record:
                guid = str(record[self.keys.id])
                if guid in seen:
                    raise UserError(
                        f"{self.path}, line {line}: the id {excerpt(guid)} is "
                        f"that of line {seen[guid]}, too. Give each text an "
                        "id of its own."
                    )
                seen[guid] = line
            yield self._text(f"{self.path}, line {line}", line, guid, record)

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some lines to a file; see `TaggedFile`."""
        wanted, number = set(chosen.tolist()), 0
        with atomic_write(path) as file:
            for line in decoded_lines(self.path, self.encoding):
                if not line.strip():
                    continue
                if number in wanted:
                    file.write(line.strip("\r\n \ufeff") + "\n")
                number += 1

    def write_found(
        self,
        found: Iterable[Sequence[str] | Sequence[Found]],
        folder: pathlib.Path,
    ) -> pathlib.Path:
        """Writes every record again with what was found, as `written` says.

        The key is that of the labels; `predicted_…` where the file has labels
        already.
        """
        path = folder / f"{PREDICTIONS}{ENDINGS[1]}"
        keys = self.written
        default = "tags" if keys.kind == TAGS else "entities"
        key = keys.labels or default
        if any(key in record for _, record in _first(self._records())):
            key = f"predicted_{key}"
        with atomic_write(path) as file:
            for (_, record), entities in zip(
                self._records(), found, strict=True
            ):
                new = {**record, key: _written(record, entities, keys)}
                if keys.kind == LISTS:
                    scores = [round(one.score, 6) for one in _found(entities)]
                    new[f"{key}_scores"] = scores
                file.write(json.dumps(new, ensure_ascii=False) + "\n")
        return path

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            yield from json_records(self.path, self.encoding)
        except UnicodeDecodeError as error:
            fault = first_fault(self.path, self.encoding)
            if fault is None:
                raise
            raise undecodable(self.path, self.encoding, fault) from error

    def _text(
        self, where: str, line: int, guid: str, record: Mapping[str, Any]
    ) -> TaggedText:
        keys = self.keys
        if keys.text not in record:
            raise UserError(
                f"{where}: {keys.text!r} is missing, which the records before "
                f"have (there are {_listed(record)}). Add it, or delete the "
                "line."
            )
        value = record[keys.text]
        labels = None
        if keys.labels is not None:
            if keys.labels not in record:
                raise UserError(
                    f"{where}: {keys.labels!r} is missing, which other records "
                    "have; write an empty list where a text has no entity"
                )
            labels = record[keys.labels]
        if keys.kind == TAGS:
            tokens = _texts(where, keys.text, value)
            tags = None
            if keys.labels is not None:
                tags = _texts(where, keys.labels, labels)
                if len(tags) != len(tokens):
                    raise UserError(
                        f"{where}: {len(tokens)} {keys.text!r} and {len(tags)} "
                        f"{keys.labels!r}; each token needs one tag"
                    )
            return TaggedText(guid, line, tokens, tags, [line] * len(tokens))
        if not isinstance(value, str):
            raise UserError(
                f"{where}: {keys.text!r} must be a text, and is "
                f"{excerpt(json.dumps(value, ensure_ascii=False))}"
            )
        spans = None
        if keys.labels is not None:
            spans = tuple(
                checked_span(
                    where, value, start, end + keys.inclusive, kind, surface
                )
                for start, end, kind, surface in spans_in(where, labels)
            )
        return TaggedText(guid, line, text=value, spans=spans)

    def _ends(
        self, given: str | None, trained: bool | None, is_strict: bool
    ) -> tuple[bool, str]:
        """Returns whether ends are inclusive, and why."""
        if given is not None:
            return given == "inclusive", "as given"
        votes = EndVotes()
        for line, record in self._records():
            text = record.get(self.keys.text)
            labels = record.get(self.keys.labels or "")
            if not isinstance(text, str):
                continue
            try:
                for start, end, _, surface in spans_in(
                    f"{self.path}, line {line}", labels
                ):
                    votes.add(text, start, end, surface)
            except UserError:
                if is_strict:
                    raise
        return votes.decide(trained)


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


def _texts(where: str, key: str, value: Any) -> tuple[str, ...]:
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


def _first(
    records: Iterator[tuple[int, dict[str, Any]]],
) -> list[tuple[int, dict[str, Any]]]:
    return [pair for pair, _ in zip(records, range(_LOOKED_AT), strict=False)]


def _first_records(
    path: pathlib.Path, encoding: str
) -> list[tuple[int, dict[str, Any]]]:
    found = _first(json_records(path, encoding))
    if not found:
        raise UserError(f"{path}: holds no record")
    return found


def _layout(
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
            f"{_listed(record)}. Rename its key."
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
        sought = TAG_KEYS if has_tokens else SPAN_KEYS
        raise UserError(
            f"{where}: there are no spans or tags; they are sought under "
            f"{', '.join(map(repr, sought))}, and there are {_listed(record)}. "
            "Rename their key."
        )
    return JsonLayout(text, None, guid, kind)


def _found(entities: Sequence[str] | Sequence[Found]) -> list[Found]:
    return [one for one in entities if isinstance(one, Found)]


def _written(
    record: Mapping[str, Any],
    entities: Sequence[str] | Sequence[Found],
    keys: JsonLayout,
) -> Any:
    """Returns what was found, in the form of the layout."""
    if keys.kind == TAGS:
        return list(entities)
    text, less = record[keys.text], int(keys.inclusive)
    found = _found(entities)
    if keys.kind == LISTS:
        return [[a, b - less, kind] for a, b, kind, _ in found]
    if keys.kind == NESTED:
        nested: dict[str, dict[str, list[list[int]]]] = {}
        for a, b, kind, _ in found:
            places = nested.setdefault(kind, {}).setdefault(text[a:b], [])
            places.append([a, b - less])
        return nested
    start, end, label = keys.names
    return [
        {
            start: a,
            end: b - less,
            label: kind,
            "text": text[a:b],
            "score": round(score, 6),
        }
        for a, b, kind, score in found
    ]


def _listed(record: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(record)[:12])) or "none"
