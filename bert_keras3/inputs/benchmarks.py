"""The table of all benchmarks of texts and pairs, and of collections of them.

Those of choices are in `choice_benchmarks`.

`--task_name=mrpc` names one; `--task_name=GLUE` all of a collection that lie
in one folder.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Set

from bert_keras3.inputs.benchmark import Benchmark
from bert_keras3.inputs.choice_names import CHOICE_NAMES
from bert_keras3.inputs.clue import CLUE
from bert_keras3.inputs.glue import GLUE, OTHERS
from bert_keras3.safekeeping.errors import UserError

BENCHMARKS = (*GLUE, *OTHERS, *CLUE)

# How far below the folder of a collection the files may lie.
_DEEPEST = 4

_MAIN = ("train", "dev", "test")
_SIGNS = re.compile(r"[^0-9a-z]")


@dataclasses.dataclass(frozen=True)
class Collection:
    """Benchmarks whose mean score is reported.

    Attributes:
        name: as its authors spell it; flags may use any case.
        benchmarks: in the order of the table of results.
    """

    name: str
    benchmarks: tuple[Benchmark, ...]

    def find(self, name: str) -> Benchmark:
        """Returns the benchmark of a name as its authors spell it."""
        return next(one for one in self.benchmarks if one.name == name)


COLLECTIONS = {
    collection.name.lower(): collection
    for collection in (Collection("GLUE", GLUE), Collection("CLUE", CLUE))
}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name, in any case.

    Args:
        name: such as `mrpc`.

    Returns:
        The row of `BENCHMARKS`.

    Raises:
        UserError: there is none of that name.
    """
    for benchmark in BENCHMARKS:
        if benchmark.name.lower() == name.lower():
            return benchmark
    known = (*(one.name for one in BENCHMARKS), *CHOICE_NAMES)
    names = ", ".join(known)
    raise UserError(
        f"--task_name={name}: there is no such task; give one of {names}, "
        f"{' or '.join(one.name for one in COLLECTIONS.values())} for all of "
        "a collection, or csv for a file of your own."
    )


def find_folders(
    collection: Collection, data_dir: str | os.PathLike[str]
) -> dict[str, pathlib.Path]:
    """Finds the benchmarks of a collection in a folder.

    Args:
        collection: a value of `COLLECTIONS`.
        data_dir: a folder with one for each benchmark, such as `SST-2`,
            `sst2` or `tnews_public`; the files may lie deeper in it.

    Returns:
        {name of the benchmark: folder with its files}, in the order of the
        collection.

    Raises:
        UserError: there is no such folder, or no benchmark in it.
    """
    folder = pathlib.Path(data_dir)
    if not folder.is_dir():
        raise UserError(f"--data_dir={data_dir}: there is no such folder.")
    found = {}
    for benchmark in collection.benchmarks:
        names = {_plain(benchmark.name), *benchmark.folders}
        for place in _folders(folder, names):
            if any(benchmark.find(part, place) for part in _MAIN):
                found[benchmark.name] = place
                break
    if not found:
        listed = ", ".join(one.name for one in collection.benchmarks)
        raise UserError(
            f"--data_dir={data_dir}: has no folder with files of a task of "
            f"{collection.name}; give the folder that has {listed} in it, or "
            "some of them."
        )
    return found


def _plain(name: str) -> str:
    return _SIGNS.sub("", name.lower())


def _folders(folder: pathlib.Path, names: Set[str]) -> Iterator[pathlib.Path]:
    """Yields the folders of some names and those below, not too deep ones."""
    level = [
        one
        for one in sorted(folder.iterdir())
        if one.is_dir() and _plain(one.name) in names
    ]
    for _ in range(_DEEPEST):
        yield from level
        level = [
            below
            for one in level
            for below in sorted(one.iterdir())
            if below.is_dir()
        ]
