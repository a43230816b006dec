"""A trained model in its folder, opened to be used as a job says."""

from __future__ import annotations

import dataclasses

from bert_keras3.finetuning.dataset import Dataset
from bert_keras3.finetuning.datasets import kind_of
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.finetuning.run_folder import FinetuningFolder, RunSettings
from bert_keras3.finetuning.settings import Job
from bert_keras3.finetuning.task import Task, options_of
from bert_keras3.inputs.feature_store import FeatureStore
from bert_keras3.training.devices import computing_in
from bert_keras3.training.predict import Predictor
from modeling import BertWithHeads

# With --jit_compile, batches are padded to multiples of this, so that few
# shapes are compiled.
_LENGTH_STEP = 32


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A trained model, and how its data is read."""

    model: BertWithHeads
    settings: RunSettings
    """With the options of the job."""
    encoder: TextEncoder
    dataset: Dataset


def uses_folder(job: Job, folder: FinetuningFolder) -> bool:
    """Whether a job that trains none uses the model in the output folder."""
    is_given = job.encoder.init_checkpoint is not None
    return folder.holds_a_model and not (job.overwrite_output_dir and is_given)


def open_model(job: Job, folder: FinetuningFolder) -> OpenedModel:
    """Opens the model in the output folder.

    Raises:
        UserError: a file of it is damaged, or the flags of the job do not
            agree with it.
    """
    settings = folder.read_settings()
    dataset = kind_of(job.data, settings).find(job.data, settings)
    encoder = TextEncoder(folder.load_tokenizer(), settings.max_seq_length)
    with computing_in(job.training.computing.mixed_precision):
        model = folder.load_model()
    options = options_of(dataset.reopened(settings.task))
    settings = dataclasses.replace(settings, options=options)
    return OpenedModel(model, settings, encoder, dataset)


def predictor_of(job: Job, model: BertWithHeads, task: Task) -> Predictor:
    """Returns what computes the outputs of a model as the job says."""
    model.unpad = job.unpad
    return Predictor(
        model,
        per_token=task.per_token,
        concurrency=job.concurrency,
        jit_compile=job.training.computing.jit_compile,
    )


def padded_as(
    job: Job, store: FeatureStore, task: Task, max_seq_length: int
) -> FeatureStore:
    """Returns a store whose batches are padded as the job says."""
    if job.training.computing.jit_compile:
        store = dataclasses.replace(store, length_step=_LENGTH_STEP)
    if task.reads_padding and not job.unpad:
        store = dataclasses.replace(store, fixed_length=max_seq_length)
    return store
