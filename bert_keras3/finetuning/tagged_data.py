"""Data sets of tagged texts: files, their schemes, and what is written."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.dataset import (
    Dataset,
    Description,
    Kind,
    Source,
    given_files,
)
from bert_keras3.finetuning.run_folder import (
    FinetuningFolder,
    RunSettings,
    settings_beside,
)
from bert_keras3.finetuning.tagging import Tagging
from bert_keras3.finetuning.tagging_settings import REFUSE, TaggedFiles
from bert_keras3.finetuning.task import Task
from bert_keras3.finetuning.trained_task import check_trained_for
from bert_keras3.inputs.delimited import Decision
from bert_keras3.inputs.several_files import decision_on, joined_path
from bert_keras3.inputs.tagged_files import (
    choices_of_part,
    open_tagged_file,
    suffix_of,
)
from bert_keras3.inputs.tagged_text import (
    Found,
    TaggedChoices,
    TaggedFile,
    TaggedText,
    write_tagged_rows,
)
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.tagging.examples import TaggedExample
from bert_keras3.tagging.reading import (
    TagReading,
    TextReading,
    suggested_split,
)
from bert_keras3.tagging.schemes import (
    SCHEMES,
    Entity,
    Scheme,
    TagSet,
    find_scheme,
)
from bert_keras3.tagging.words import WORDS, split_like, words_of

NAME = "tags"
"""The data set's name in the settings of a run."""
_SHOWN = 3
# Texts by which it is told how others are split.
_LOOKED_AT = 1000

# What a split is for, in messages.
_PURPOSES = {"train": "train on", "dev": "evaluate on", "test": "predict"}


@dataclasses.dataclass(frozen=True)
class TaggedSource:
    """A tagged file, or several as one; a `dataset.Source`.

    Attributes:
        files: one at least, of one form.
        scheme: of their tags.
        written: the scheme of predicted tags.
        tag_types: types of its entities, sorted.
        split: how texts are split into tokens, see `words.words_of`.
        refuse: whether broken tags are an error.
        decisions: what was detected about the first.
    """

    files: tuple[TaggedFile, ...]
    scheme: Scheme
    written: Scheme
    tag_types: tuple[str, ...]
    split: str
    refuse: bool
    decisions: tuple[Decision, ...]
    _notes: list[str] = dataclasses.field(default_factory=list)

    label_columns = ()
    label_separator = None
    takes_pairs = False
    has_ids = True

    @classmethod
    def open(
        cls,
        paths: Sequence[pathlib.Path],
        data: TaggedFiles,
        like: dict[str, Any] | None,
        *,
        want_labels: bool,
        choices: TaggedChoices | None = None,
    ) -> TaggedSource:
        """Opens files and detects the scheme of their tags.

        Args:
            paths: the files, which are read like the first of them.
            data: the settings.
            like: `columns` of the training file's source.
            want_labels: False for a file to predict, whose tags are not read.
            choices: in place of the settings'.

        Raises:
            UserError: a file cannot be read, has no tags, or another form.
        """
        files = _open(paths, choices or data.file, like, want_labels)
        file = files[0]
        written = _scheme_of(like)
        scheme = written or SCHEMES["IOB2"]
        types: set[str] = set()
        decisions = [*decision_on(paths), *file.decisions]
        split = like["split"] if like else WORDS
        if want_labels and file.is_text:
            for text in itertools.chain(*files):
                types.update(span.type for span in text.spans or ())
            if not like:
                split, how = suggested_split(itertools.chain(*files))
                decisions.append(Decision("tokens", split, how))
        elif want_labels:
            pairs: collections.Counter[Any] = collections.Counter()
            for text in itertools.chain(*files):
                tags = text.tags or ()
                pairs.update(itertools.pairwise((None, *tags, None)))
            scheme, how = find_scheme(pairs)
            decisions.append(Decision("scheme", scheme.name, how))
            parsed = (scheme.parse(tag) for tag, _ in pairs if tag)
            types = {one.type for one in parsed if one and one.type}
        if not (like or file.is_text):
            texts = itertools.islice(file, _LOOKED_AT)
            split = split_like(word for text in texts for word in text.tokens)
        return cls(
            files,
            scheme,
            written or scheme,
            tuple(sorted(types)),
            split,
            data.broken_tags == REFUSE,
            tuple(decisions),
        )

    @property
    def path(self) -> pathlib.Path:
        """The files, for messages."""
        return joined_path([file.path for file in self.files])

    @property
    def _layout(self) -> Mapping[str, Any]:
        return self.files[0].layout

    @property
    def columns(self) -> dict[str, Any]:
        """The layout of the file, the scheme of its tags, and `split`."""
        return {
            **self._layout,
            "scheme": self.written.name,
            "tag_separator": self.written.separator,
            "split": self.split,
        }

    @property
    def labels(self) -> tuple[str, ...]:
        """The tags of a model that is trained on the file."""
        return TagSet.of(self.tag_types, has_ends=self.scheme.has_ends).names

    @property
    def suffix(self) -> str:
        """The ending of a file of `write_rows`."""
        return suffix_of(self._layout)

    def __iter__(self) -> Iterator[TaggedExample]:
        """Streams the texts with their entities.

        Raises:
            UserError: a tag is none, or breaks the scheme and none may.
        """
        notes = []
        for file in self.files:
            of_tags = TagReading(file.path, self.scheme, self.refuse)
            of_texts = TextReading(self.split)
            for text in file:
                yield self._example(text, file, of_tags, of_texts)
            found = [*of_tags.notes(), *of_texts.notes()]
            if len(self.files) > 1:
                found = [f"{file.path}: {note}" for note in found]
            notes += found
        self._notes[:] = notes

    @staticmethod
    def _example(
        text: TaggedText,
        file: TaggedFile,
        of_tags: TagReading,
        of_texts: TextReading,
    ) -> TaggedExample:
        path = str(file.path)
        if file.is_text:
            return of_texts.example(text, path)
        entities = None
        if text.tags is not None:
            entities = of_tags.entities(text)
        return TaggedExample(
            text.guid, path, text.line, text.tokens, entities, text.lines
        )

    def describe(self) -> Description:
        """What was detected, and the first texts."""
        first = [
            (
                one.guid,
                " ".join(one.tokens),
                ", ".join(
                    f"{one.text_of(entity)} ({entity.type})"
                    for entity in one.entities or ()
                ),
            )
            for one in itertools.islice(self, _SHOWN)
        ]
        return Description(self.decisions, ("id", "text", "entities"), first)

    def notes(self) -> Sequence[str]:
        """What was met when it was read last, a line each."""
        return tuple(self._notes)

    def write_rows(
        self, chosen: np.ndarray, path: str | os.PathLike[str]
    ) -> None:
        """Writes some texts, as they stand in the files, to another."""
        write_tagged_rows(self.files, chosen, path)

    def write_found(
        self, found: Iterable[Sequence[Found]], folder: pathlib.Path
    ) -> pathlib.Path:
        """Writes the file again with the entities that were found.

        Args:
            found: of each text in order, by tokens.
            folder: of the run.

        Returns:
            The path of the file.
        """
        (file,) = self.files
        convert = self._in_text if file.is_text else self._tags
        return file.write_found(convert(found), folder)

    def _tags(
        self, found: Iterable[Sequence[Found]]
    ) -> Iterator[Sequence[str] | Sequence[Found]]:
        """Returns the tags of each text's tokens."""
        for text, entities in zip(self.files[0], found, strict=True):
            plain = [Entity(*one[:3]) for one in entities]
            yield self.written.tags(plain, len(text.tokens))

    def _in_text(
        self, found: Iterable[Sequence[Found]]
    ) -> Iterator[Sequence[str] | Sequence[Found]]:
        """Returns the same entities by characters."""
        for text, entities in zip(self.files[0], found, strict=True):
            words = words_of(text.text or "", self.split).tolist()
            yield [
                Found(words[a][0], words[b - 1][1], kind, score)
                for a, b, kind, score in entities
            ]


def _open(
    paths: Sequence[pathlib.Path],
    choices: TaggedChoices,
    like: Mapping[str, Any] | None,
    want_labels: bool,
) -> tuple[TaggedFile, ...]:
    """Opens files of one layout.

    Raises:
        UserError: one cannot be read, or has another layout.
    """
    first, *others = paths
    file = open_tagged_file(first, choices, like, want_labels=want_labels)
    files = [file]
    for path in others:
        other = open_tagged_file(
            path, choices, like or file.layout, want_labels=want_labels
        )
        if (other.layout, other.heading) != (file.layout, file.heading):
            raise UserError(
                f"{path} is not laid out like {first}; files of tagged texts "
                "that are read as one must have the same columns or keys"
            )
        files.append(other)
    return tuple(files)


def _scheme_of(columns: dict[str, Any] | None) -> Scheme | None:
    """Returns the scheme that `TaggedSource.columns` names."""
    if not columns:
        return None
    scheme = SCHEMES[columns["scheme"]]
    return dataclasses.replace(scheme, separator=columns["tag_separator"])


class TaggedDataset:
    """The user's tagged files."""

    name = NAME
    metric: str | None = None

    def __init__(
        self, data: TaggedFiles, columns: dict[str, Any] | None = None
    ) -> None:
        """Opens no file yet.

        Args:
            data: given by the user.
            columns: of the training file of a trained model; by default
                those of the first file that is opened.
        """
        self._data = data
        self._columns = columns
        self._labels: tuple[str, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The tags for the types of the training file, once it is opened."""
        return self._labels

    def has(self, split: str) -> bool:
        """Whether there is a split "train", "dev" or "test"."""
        return bool(self._data.files[f"{split}_file"])

    def source(self, split: str) -> TaggedSource:
        """Opens a split."""
        given = self._data.files[f"{split}_file"]
        if not given:
            raise UserError(
                f"there is no file to {_PURPOSES[split]}: give --{split}_file"
            )
        paths = given_files(given)
        if split == "test" and len(paths) > 1:
            raise UserError(
                f"--test_file={given}: predictions have the form of their "
                "file, and so there is one file at a time. Give one of them, "
                "or use --runner, which writes shards"
            )
        source = TaggedSource.open(
            paths,
            self._data,
            self._columns,
            want_labels=split != "test",
        )
        if self._columns is None:
            self._columns = source.columns
        if split == "train":
            if not source.tag_types:
                raise UserError(
                    f"{source.path}: has no entity at all, so there is nothing "
                    "to learn. Name the column of the tags with --tag_column."
                )
            self._labels = source.labels
        return source

    def further(self, split: str) -> tuple[str, ...]:
        """Returns no more splits."""
        return ()

    def write_submission(
        self, split: str, predictions: pathlib.Path, folder: pathlib.Path
    ) -> None:
        """Writes nothing: the predictions are in the form of the file."""

    def held_out(self, folder: FinetuningFolder) -> Source | None:
        """Opens the texts that a training held out."""
        if self._columns is None or self.has("dev"):
            return None
        path = folder.dev_split(suffix_of(self._columns))
        if not path.exists():
            return None
        return TaggedSource.open(
            (path,),
            self._data,
            self._columns,
            want_labels=True,
            choices=choices_of_part(self._columns),
        )

    def task(self, source: Source) -> tuple[Task, str]:
        """Returns tagging with the options of this job."""
        assert isinstance(source, TaggedSource)
        task = Tagging(split=source.split)
        return self.reopened(task), "the files have tags"

    def task_of(self, checkpoint: Checkpoint) -> Task:
        """Returns tagging with the tags that the checkpoint names.

        The options of a run folder are those of its training.

        Raises:
            UserError: it has no head, or its labels are no tags.
        """
        check_trained_for(checkpoint, Tagging.name)
        trained = settings_beside(checkpoint)
        if trained is not None and isinstance(trained.task, Tagging):
            return self.reopened(trained.task)
        labels = checkpoint.labels
        try:
            TagSet(labels)
        except ValueError as error:
            raise UserError(
                f"{checkpoint.source}: is no trained tagger ({error}). Train "
                "one with --do_train, or give one whose configuration names "
                "its tags in `id2label`."
            ) from None
        return self.reopened(Tagging(labels))

    def reopened(self, task: Task) -> Task:
        """Returns the task with the flags of this job."""
        assert isinstance(task, Tagging)
        given = {
            name: value
            for name in ("decode", "window_overlap")
            if (value := getattr(self._data, name)) is not None
        }
        return dataclasses.replace(task, **given)


def find_tagged_data(
    data: TaggedFiles, trained: RunSettings | None = None
) -> Dataset:
    """Returns the data set that the flags describe.

    Args:
        data: given by the user.
        trained: settings of the trained model to use, if there is one.
    """
    return TaggedDataset(data, None if trained is None else trained.columns)


def check_data(data: TaggedFiles, *, do_train: bool) -> None:
    """Checks the flags of the data.

    Raises:
        UserError: a value is out of its range.
    """
    check_ranges(data.file)


def check_same_data(
    data: TaggedFiles, folder: FinetuningFolder, *, do_eval: bool
) -> None:
    """Checks nothing: all flags of the data apply to a trained model, too."""


KIND = Kind(
    find_tagged_data,
    check_data,
    check_same_data,
    problems=(Tagging.name,),
    script="run_tagger",
)
