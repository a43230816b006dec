"""Questions with choices in nested JSON, as C3, RACE or ARC have it.

Three forms are known; a file's own first value says which it has.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bert_keras3.inputs.choices import (
    LABEL_FORMS,
    ChoiceColumns,
    ChoiceExample,
    Ids,
    index_of,
    no_such_choice,
)
from bert_keras3.inputs.delimited import (
    Decision,
    Dialect,
    Row,
    json_records,
)
from bert_keras3.inputs.encodings import (
    check_text_file,
    excerpt,
    find_encoding,
)
from bert_keras3.inputs.packed_files import inner_path, open_text
from bert_keras3.inputs.question_records import json_entries
from bert_keras3.inputs.several_files import decision_on, joined_path
from bert_keras3.safekeeping.errors import UserError

_JSON_LINES = (".jsonl", ".ndjson")
# The beginning of a file by which its form is known.
_LOOKED_AT = 1 << 20
_LIST_OF_LISTS = re.compile(r"\s*\[\s*\[")


class Read(Protocol):
    """Streams the examples of one file."""

    def __call__(
        self, path: pathlib.Path, encoding: str | None, *, want_label: bool
    ) -> Iterator[ChoiceExample]:
        """See `read_documents`."""


def find_reader(path: pathlib.Path, encoding: str | None = None) -> Read | None:
    """Returns what reads a file of nested JSON; None: it is another one.

    Args:
        path: the file.
        encoding: a Python codec; None: it is detected.
    """
    if not path.is_file():
        return None
    if inner_path(path).suffix.lower() not in (".json", *_JSON_LINES):
        return None
    encoding, _ = find_encoding(path, encoding)
    with open_text(path, encoding, errors="replace") as file:
        start = file.read(_LOOKED_AT).lstrip()
    if _LIST_OF_LISTS.match(start):
        return read_documents
    try:
        value, _ = json.JSONDecoder().raw_decode(start)
    except json.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    if {"article", "questions", "options"} <= value.keys():
        return read_articles
    asked = value.get("question")
    holder = asked if isinstance(asked, dict) else value
    choices = holder.get("choices")
    if isinstance(choices, dict) or (
        isinstance(choices, list) and choices and isinstance(choices[0], dict)
    ):
        return read_stems
    return None


@dataclasses.dataclass(frozen=True)
class NestedFiles:
    """The user's own files in nested JSON: an iterable of examples.

    Attributes:
        paths: the files, of one form.
        read: what reads them, from `find_reader`.
        encoding: a Python codec; None: it is detected.
        want_label: whether answers are read.
    """

    paths: tuple[pathlib.Path, ...]
    read: Read
    encoding: str | None
    want_label: bool

    @property
    def path(self) -> pathlib.Path:
        """See `joined_path`."""
        return joined_path(self.paths)

    def __iter__(self) -> Iterator[ChoiceExample]:
        """Streams the examples.

        Raises:
            UserError: see `read_documents`; an id occurs twice in a file, or
                in all files to predict.
        """
        ids = Ids()
        for path in self.paths:
            if self.want_label:  # nothing is predicted by id
                ids = Ids()
            for example in self.read(
                path, self.encoding, want_label=self.want_label
            ):
                ids.add(example.where, example.guid, "Correct one of them")
                yield example

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was detected."""
        words = LABEL_FORMS[self.columns.form]
        return (
            *decision_on(self.paths),
            Decision("form", "nested JSON", "how the file begins"),
            Decision("labels", words, "as in files of this form"),
        )

    # As rows.

    @functools.cached_property
    def _width(self) -> int:
        """The number of choices of the example that has most."""
        return max((one.places[-1] + 1 for one in self), default=2)

    @property
    def dialect(self) -> Dialect:
        """That of the examples as rows of a table."""
        return Dialect(",", "double", "utf-8", True, self.columns.names)

    @property
    def columns(self) -> ChoiceColumns:
        """The columns of the examples as rows of a table."""
        choices = tuple(f"choice{n}" for n in range(self._width))
        names = ("id", "context", "question", "label", *choices)
        places = range(4, len(names))
        form = "text" if self.read is read_documents else "A"
        return ChoiceColumns(1, 2, tuple(places), 3, 0, names, True, form)

    def rows(self) -> Iterator[Row]:
        """Streams the examples as rows of a table."""
        for one in self:
            choices = [""] * self._width
            for place, text in zip(one.places, one.choices, strict=True):
                choices[place] = text
            label = ""
            if one.answer is not None:
                label = dataclasses.replace(one, names=()).spelled(one.answer)
            cells = [one.guid, one.context or "", one.question or "", label]
            yield Row(0, [*cells, *choices])


def read_documents(
    path: pathlib.Path, encoding: str | None, *, want_label: bool
) -> Iterator[ChoiceExample]:
    """Streams the questions of nested JSON, as C3 and DREAM have it.

    A file is a list of `[[line, …], [{"question", "choice", "answer"}, …],
    id]`; the answer is the text of a choice. A question may have an id of its
    own, as in CLUE's test file.

    Args:
        path: the file.
        encoding: a Python codec; None: it is detected.
        want_label: whether the answers are read.

    Raises:
        UserError: no such file, JSON that is cut off or of another form, a
            document without text, an answer that is no choice.
    """
    number = 0
    for place, value in _json_values(path, encoding):
        lines, questions, *rest = _document(path, place, value)
        context = "\n".join(lines)
        if not context.strip():
            raise UserError(
                f"{path}, {place}: the document has no text; fill it in, or "
                "delete it with its questions"
            )
        for index, question in enumerate(questions):
            number += 1
            where = f"{place}[1][{index}]"
            text = _text(path, where, question, "question")
            choices = _texts(path, where, question, "choice")
            label = None
            if want_label:
                label = _text(path, where, question, "answer").strip()
            # Numbers of several files would be alike.
            name = f"{path.stem}-{number}"
            if rest:
                name = f"{rest[0]}-{index + 1}"
            guid = question.get("id", name)
            yield _with_answer(
                path, str(guid), where, context, text, choices, "text", label
            )


def read_articles(
    path: pathlib.Path, encoding: str | None, *, want_label: bool
) -> Iterator[ChoiceExample]:
    """Streams the questions of RACE's files.

    A file has one or more objects with `article`, `questions`, `options` (a
    list for each question), `answers` (a letter for each) and perhaps `id`.

    Args:
        path: the file.
        encoding: a Python codec; None: it is detected.
        want_label: whether the answers are read.

    Raises:
        UserError: no such file, JSON that is cut off or of another form, an
            article without text, an answer that is no choice.
    """
    for place, value in _json_values(path, encoding):
        if not isinstance(value, dict):
            raise UserError(
                f"{path}, {place}: expected an object with 'article', "
                f"'questions' and 'options', found {excerpt(json.dumps(value))}"
            )
        article = _text(path, place, value, "article")
        if not article.strip():
            raise UserError(
                f"{path}, {place}: the article has no text; fill it in, or "
                "delete it with its questions"
            )
        questions = _texts(path, place, value, "questions")
        options = value.get("options")
        answers = (
            _texts(path, place, value, "answers")
            if want_label
            else [None] * len(questions)
        )
        if not isinstance(options, list) or not len(questions) == len(
            options
        ) == len(answers):
            raise UserError(
                f"{path}, {place}: 'questions', 'options' and 'answers' must "
                "be equally long lists"
            )
        name = str(value.get("id", path.stem))
        for index, (question, label) in enumerate(
            zip(questions, answers, strict=True)
        ):
            where = f"{place}, options[{index}]"
            yield _with_answer(
                path,
                f"{name}-{index + 1}",
                where,
                article,
                question,
                _texts(path, where, {"options": options[index]}, "options"),
                "A",
                label,
            )


def read_stems(
    path: pathlib.Path, encoding: str | None, *, want_label: bool
) -> Iterator[ChoiceExample]:
    """Streams the questions of CommonsenseQA and ARC.

    A file has an object a line, with `question`, `choices`, `answerKey` and
    `id`. The question is an object with `stem` and `choices`, or a text. The
    choices are objects with `text` and `label`, or one object with lists of
    both; the answer is a label.

    Args:
        path: the file.
        encoding: a Python codec; None: it is detected.
        want_label: whether the answers are read.

    Raises:
        UserError: no such file, a line that is no JSON or of another form, an
            answer that is no choice.
    """
    for number, (place, value) in enumerate(_json_values(path, encoding), 1):
        question = value.get("question")
        holder, key = value, "question"
        if isinstance(question, dict):
            holder, key = question, "stem"
        stem = _text(path, place, holder, key)
        choices = holder.get("choices")
        if isinstance(choices, list) and all(
            isinstance(one, dict) for one in choices
        ):
            choices = {
                name: [one.get(name) for one in choices]
                for name in ("text", "label")
            }
        if not isinstance(choices, dict):
            raise UserError(
                f"{path}, {place}: 'choices' must be objects with 'text' and "
                f"'label', and is {excerpt(json.dumps(choices))}"
            )
        texts = _texts(path, place, choices, "text")
        names = _texts(path, place, choices, "label")
        if len(texts) != len(names):
            raise UserError(
                f"{path}, {place}: there are {len(texts)} choices and "
                f"{len(names)} labels; each choice needs one"
            )
        yield _with_answer(
            path,
            str(value.get("id", number)),
            place,
            None,
            stem,
            texts,
            "A",
            _text(path, place, value, "answerKey") if want_label else None,
            names,
        )


def _with_answer(
    path: pathlib.Path,
    guid: str,
    place: str,
    context: str | None,
    question: str,
    choices: Sequence[str],
    form: str,
    label: str | None,
    names: Sequence[str] = (),
) -> ChoiceExample:
    """Returns an example of nested JSON, checked."""
    found = [
        (text, number)
        for number, choice in enumerate(choices)
        if (text := choice.strip())
    ]
    where = f"{path}, {place}, id {guid!r}"
    if len(found) < 2:
        raise UserError(
            f"{where}: there "
            f"{'is 1 choice' if found else 'are no choices'}, where two are "
            "needed at least; fill in more, or delete the question"
        )
    texts, places = zip(*found, strict=True)
    answer = None
    if label is not None:
        if names:
            names = tuple(names[number] for number in places)
            answer = names.index(label) if label in names else None
        else:
            answer = index_of(label, form, texts, places)
        if answer is None:
            raise no_such_choice(where, label, form, texts, places, names)
    return ChoiceExample(
        guid,
        context,
        question,
        texts,
        places,
        form,
        tuple(names),
        answer,
        label,
        path=str(path),
        place=f"{place}, id {guid!r}",
    )


def _json_values(
    path: pathlib.Path, encoding: str | None
) -> Iterator[tuple[str, Any]]:
    """Yields (place, value) of the values of a JSON file."""
    check_text_file(path, "question")
    encoding, _ = find_encoding(path, encoding)
    if inner_path(path).suffix.lower() in _JSON_LINES:
        for line, value in json_records(path, encoding):
            yield f"line {line}", value
        return
    with open_text(path, encoding) as file:
        text = file.read()
    yield from json_entries(path, text)


def _document(path: pathlib.Path, place: str, value: Any) -> tuple[Any, ...]:
    """Returns the lines, the questions and perhaps the id of a document."""
    if (
        isinstance(value, list)
        and len(value) in (2, 3)
        and isinstance(value[0], list)
        and all(isinstance(line, str) for line in value[0])
        and isinstance(value[1], list)
        and all(isinstance(question, dict) for question in value[1])
    ):
        return tuple(value)
    raise UserError(
        f'{path}, {place}: expected a document, [[line, …], [{{"question", '
        f'"choice", "answer"}}, …], id], and found '
        f"{excerpt(json.dumps(value, ensure_ascii=False))}. (A row with a text "
        'and a label is an object: {"text": "…", "label": "…"}.)'
    )


def _text(path: object, place: str, values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if not isinstance(value, str):
        raise UserError(
            f"{path}, {place}: {key!r} "
            + (
                f"must be a text, and is {excerpt(json.dumps(value))}"
                if key in values
                else f"is missing (there are {', '.join(values) or 'none'})"
            )
        )
    return value


def _texts(
    path: object, place: str, values: dict[str, Any], key: str
) -> list[str]:
    value = values.get(key)
    if not isinstance(value, list) or not all(
        isinstance(text, str) for text in value
    ):
        raise UserError(
            f"{path}, {place}: {key!r} must be a list of texts, and "
            + (
                f"is {excerpt(json.dumps(value, ensure_ascii=False))}"
                if key in values
                else f"is missing (there are {', '.join(values) or 'none'})"
            )
        )
    return value
