"""Which Apache Beam runner does the work of a command, as flags."""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunnerFlags:
    """An Apache Beam runner and the options of its pipeline."""

    runner: str | None = flag(
        None,
        "Apache Beam runner, such as DirectRunner or FlinkRunner, that does "
        "the work in place of this process. Needs the package apache-beam. "
        "All its workers must see the folders that are read and written under "
        "the same paths.",
        group="Several devices or machines",
        placeholder="NAME",
    )
    runner_options: tuple[str, ...] = flag(
        (),
        "Comma-separated options of the Apache Beam pipeline, such as "
        "--direct_num_workers=4.",
        group="Several devices or machines",
    )


def check_runner(flags: RunnerFlags) -> None:
    """Checks that there are no options without a runner.

    Raises:
        UserError: there are; they would have no effect.
    """
    if flags.runner_options and flags.runner is None:
        raise UserError(
            f"--runner_options={','.join(flags.runner_options)}: there is "
            "no --runner; add it, or leave them out"
        )
