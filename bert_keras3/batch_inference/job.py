"""Batch inference from files to files: what is the same for all commands."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from bert_keras3.batch_inference import filesystems
from bert_keras3.batch_inference.shards import (
    Counts,
    Results,
    Shard,
    find_inputs,
)
from bert_keras3.batch_inference.work import Work
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import own_folder
from bert_keras3.training.session import Screen

# Reasons that are shown of many.
_MOST_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The files of the rows.

    Attributes:
        value: of the flag that names them.
        flag: its name.
    """

    value: str
    flag: str


def answer_inputs(
    work: Work,
    identity: dict[str, Any],
    inputs: Inputs,
    results: Results,
    flags: RunnerFlags,
    screen: Screen,
) -> None:
    """Answers all rows of the inputs, but for the shards that are finished.

    Args:
        work: to do with each shard.
        identity: JSON values that the answers depend on beside the rows.
        inputs: the files, each of which is a shard.
        results: where.
        flags: the runner.
        screen: where to print.

    Raises:
        UserError: a flag or file is wrong, or a worker was killed; the same
            command goes on with the shards that are missing.
    """
    assert flags.runner is not None
    files = find_inputs(inputs.value, inputs.flag)
    shards = [
        Shard(number, len(files), one) for number, one in enumerate(files)
    ]
    results.check_inputs_stay(shards)
    with _locked(results):
        results.begin({"inputs": files, **identity})
        done = results.finished(shards)
        left = [one for one in shards if one.number not in done]
        if done:
            screen.say(
                f"{len(done)} of {len(shards)} shards are finished already"
            )
        if left:
            results.clear_unfinished()
            from bert_keras3.batch_inference.pipeline import answer_shards

            answer_shards(
                flags.runner, flags.runner_options, work, left, results
            )
            done = results.finished(shards)
        # The same for each, if it is the model's.
        reasons = [*dict.fromkeys(results.stopped())]
        _report(shards, done, results, screen)
    if len(done) < len(shards):
        shown = "\n".join(reasons[:_MOST_SHOWN])
        more = "\n…" if len(reasons) > _MOST_SHOWN else ""
        raise UserError(
            f"{len(shards) - len(done)} of {len(shards)} shards have no "
            f"answers. Put this right and run the same command again:\n{shown}"
            f"{more}"
        )


def _report(
    shards: list[Shard],
    done: dict[int, Counts],
    results: Results,
    screen: Screen,
) -> None:
    total = sum(done.values(), Counts())
    path = results.write_totals(
        {
            "shards": len(shards),
            "finished": len(done),
            **dataclasses.asdict(total),
        }
    )
    screen.say(
        f"{total.rows} rows of {total.tokens} tokens in {len(done)} of "
        f"{len(shards)} shards: {path}"
    )
    if total.failures:
        screen.say(
            f"note: {total.failures} rows have no answer; why is in the files "
            f"{results.label}_failed-… beside it"
        )


@contextlib.contextmanager
def _locked(results: Results) -> Iterator[None]:
    """Keeps a local folder for this process."""
    if filesystems.is_remote(results.folder):
        yield
        return
    with own_folder(results.folder, results.flag):
        yield
