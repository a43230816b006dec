"""Settings of batch inference, each with its flag."""

from __future__ import annotations

import dataclasses

from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.settings import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionFlags(RunnerFlags):
    """How predictions are made beyond one machine."""

    runner: str | None = flag(
        None,
        "Apache Beam runner, such as DirectRunner, FlinkRunner or "
        "DataflowRunner, that predicts each file of the test files on one of "
        "its workers. Needs the package apache-beam. All workers must see "
        "--output_dir, which has the model, under the same path.",
        group="Several devices or machines",
        placeholder="NAME",
        needs=("do_predict",),
    )
    predictions_dir: str | None = flag(
        None,
        "Folder for the predictions of --runner, a file for each file of the "
        "input, on any file system that Apache Beam writes, such as "
        "gs://bucket/folder. By default the folder predictions in "
        "--output_dir.",
        group="Several devices or machines",
        placeholder="FOLDER",
        needs=("runner",),
    )
