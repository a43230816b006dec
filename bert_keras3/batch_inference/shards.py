"""Shards of the input, what is written for each, and which are finished.

    rows/a.csv  ─▶  predictions-00000-of-00002.csv
                    predictions-00000-of-00002.counts.json
    rows/b.csv  ─▶  predictions-00001-of-00002.csv
                    predictions_failed-00001-of-00002.jsonl
                    predictions-00001-of-00002.counts.json

The counts of a shard are written last: a shard without them is not finished,
whatever else there is of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bert_keras3.batch_inference import filesystems
from bert_keras3.finetuning.dataset import given_files
from bert_keras3.safekeeping.errors import UserError

WORKING = ".working-"
"""How the names of folders begin in which files are written."""
_COUNTS = ".counts.json"
_STOPPED = ".stopped.json"
_JOB = ".job.json"


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of the input.

    Attributes:
        number: from 0.
        total: how many there are.
        path: of the file.
    """

    number: int
    total: int
    path: str

    def named(self, stem: str, ending: str) -> str:
        """Returns the name of a file that is written for this shard.

        Args:
            stem: of the name that it would have if there was one shard.
            ending: of the name.
        """
        return f"{stem}-{self.number:05d}-of-{self.total:05d}{ending}"


@dataclasses.dataclass(frozen=True)
class Counts:
    """What was met in a shard, or in all of them.

    Attributes:
        rows: of the input; each has an answer or a failure.
        tokens: that were computed, special tokens included.
        failures: rows without an answer.
    """

    rows: int = 0
    tokens: int = 0
    failures: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.failures + other.failures,
        )


def find_inputs(value: str, flag: str) -> list[str]:
    """Returns the paths of the input, sorted.

    Args:
        value: a path, several with commas between, or a pattern.
        flag: its name, for messages.

    Raises:
        UserError: there is none, or one of them twice.
    """
    if filesystems.is_remote(value):
        patterns: Sequence[str] = value.split(",")
    else:
        patterns = [os.path.abspath(path) for path in given_files(value)]
    files: list[str] = []
    for pattern in patterns:
        found = filesystems.find(pattern)
        if not found:
            raise UserError(f"--{flag}={value}: there is no file {pattern}")
        files += found
    if len(set(files)) < len(files):
        raise UserError(
            f"--{flag}={value}: names a file twice; each row is to have one "
            "answer"
        )
    return sorted(files)


@dataclasses.dataclass(frozen=True)
class Results:
    """The folder of the results of one job.

    Attributes:
        folder: local or of a file system that Apache Beam writes.
        label: how the names of the job's own files begin.
        flag: that names the folder, for messages.
    """

    folder: str
    label: str
    flag: str

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Keeps what identifies the job, or checks it against what is kept.

        Args:
            identity: JSON values; a job goes on only with equal ones.

        Raises:
            UserError: another job has begun in the folder.
        """
        filesystems.make_folder(self.folder)
        path = self._path(_JOB)
        # As it would be read again.
        identity = json.loads(json.dumps(identity))
        if not filesystems.exists(path):
            content = json.dumps(identity, indent=2, ensure_ascii=False)
            filesystems.write(path, f"{content}\n".encode())
            return
        try:
            earlier = json.loads(filesystems.read(path))
        except ValueError:
            earlier = {}
        for name in {**identity, **earlier}:
            if earlier.get(name) != identity.get(name):
                raise UserError(
                    f"--{self.flag}: {path} is of a job with other settings: "
                    f"{name} was {_shown(earlier.get(name))}, now it is "
                    f"{_shown(identity.get(name))}. Give another folder, or "
                    "remove that one to start anew."
                )

    def finished(self, shards: Sequence[Shard]) -> dict[int, Counts]:
        """Returns {number: counts} of the shards that are finished."""
        found = {*filesystems.names_in(self.folder, _COUNTS)}
        finished = {}
        for shard in shards:
            name = shard.named(self.label, _COUNTS)
            if name not in found:
                continue
            path = filesystems.join(self.folder, name)
            values = json.loads(filesystems.read(path))
            # One that was changed since is answered again.
            content = filesystems.content_of(shard.path)
            if values["input"] == [shard.path, content]:
                finished[shard.number] = Counts(
                    *(values[one.name] for one in dataclasses.fields(Counts))
                )
        return finished

    def check_inputs_stay(self, shards: Sequence[Shard]) -> None:
        """Checks that no file of the input would be replaced.

        Raises:
            UserError: one has the name of a file that is written.
        """
        written = {
            filesystems.join(self.folder, one.named(self.label, ""))
            for one in shards
        }
        for shard in shards:
            path = shard.path
            folder, _, name = path.rpartition("/")
            if filesystems.join(folder, name.partition(".")[0]) in written:
                raise UserError(
                    f"{path}: would be replaced by what is written; give "
                    f"another --{self.flag}"
                )

    def clear_unfinished(self) -> None:
        """Removes what killed workers left on this machine."""
        if not filesystems.is_remote(self.folder):
            for folder in pathlib.Path(self.folder).glob(f"{WORKING}*"):
                shutil.rmtree(folder, ignore_errors=True)

    def finish(
        self,
        shard: Shard,
        content: str,
        written: pathlib.Path,
        counts: Counts,
    ) -> None:
        """Gives the files of a shard their places, the counts last.

        Args:
            shard: the shard.
            content: of its input, see `filesystems.content_of`.
            written: a folder of this machine with the files.
            counts: of its rows.
        """
        names: list[str] = []
        for file in sorted(written.iterdir()):
            names.append(shard.named(file.stem, file.suffix))
            filesystems.publish(file, filesystems.join(self.folder, names[-1]))
        values = {
            "input": [shard.path, content],
            "files": names,
            **dataclasses.asdict(counts),
        }
        self._write_for(shard, _COUNTS, values)

    def stop(self, shard: Shard, reason: str) -> None:
        """Keeps why a shard has no answers."""
        self._write_for(shard, _STOPPED, {"reason": reason})

    def stopped(self) -> Iterator[str]:
        """Yields why shards have no answers, and forgets it."""
        for name in filesystems.names_in(self.folder, _STOPPED):
            if name.startswith(f"{self.label}-"):
                path = filesystems.join(self.folder, name)
                yield json.loads(filesystems.read(path))["reason"]
                filesystems.remove(path)

    def write_totals(self, values: Mapping[str, Any]) -> str:
        """Writes the counts of all shards; returns the path of the file."""
        path = self._path(_COUNTS)
        filesystems.write(path, f"{json.dumps(values, indent=2)}\n".encode())
        return path

    def _write_for(self, shard: Shard, ending: str, values: Any) -> None:
        name = shard.named(self.label, ending)
        content = f"{json.dumps(values, ensure_ascii=False)}\n"
        filesystems.write(filesystems.join(self.folder, name), content.encode())

    def _path(self, ending: str) -> str:
        return filesystems.join(self.folder, self.label + ending)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 100 else f"{text[:100]}…"
