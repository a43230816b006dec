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
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.inputs.delimited import (
    Decision,
    json_records,
)
from bert_keras3.inputs.encodings import (
    decoded_lines,
    excerpt,
    find_encoding,
    first_fault,
    undecodable,
)
from bert_keras3.inputs.json_lists import is_list
from bert_keras3.inputs.span_ends import EndVotes
from bert_keras3.inputs.span_records import (
    LISTS,
    NESTED,
    TAGS,
    JsonLayout,
    find_layout,
    listed_keys,
    spans_in,
    texts_in,
)
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

# Records by which the form is detected.
_LOOKED_AT = 1000


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
        keys = find_layout(path, first, want_labels)
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

    heading = ""

    def raw_texts(self) -> Iterator[str]:
        """Yields the records as JSON, those of lines as they are."""
        if is_list(self.path, self.encoding):
            for _, record in self._records():
                yield json.dumps(record) + "\n"
            return
        for line in decoded_lines(self.path, self.encoding):
            if line.strip():
                yield line.strip("\r\n \ufeff") + "\n"

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
                f"have (there are {listed_keys(record)}). Add it, or delete "
                "the line."
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
            tokens = texts_in(where, keys.text, value)
            tags = None
            if keys.labels is not None:
                tags = texts_in(where, keys.labels, labels)
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
