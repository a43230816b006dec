"""What the estimators of scikit-learn's kind share; see `estimators`.

Each fit is a run of `job.py` with the flags of run_classifier.py as
parameters, on texts in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from bert_keras3.finetuning.estimator_inputs import (
    are_pairs,
    seed_of,
    text_and_columns,
    texts_of,
    weights_of,
)
from bert_keras3.finetuning.extra_columns import cell_of
from bert_keras3.finetuning.fitted_run import FittedRun, PlainScreen
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.extra_columns import column_names
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_folder
from bert_keras3.training.concurrency import (
    suitable_concurrency,
    suitable_threads,
)
from bert_keras3.training.environment import (
    load_tensorflow,
    set_up_environment,
    without_tracing_warnings,
)

if TYPE_CHECKING:
    from bert_keras3.finetuning.memory_data import TextsInMemory
    from bert_keras3.training.session import Screen

ESTIMATOR = "estimator.json"
"""The parameters and classes of an estimator, in the folder of `save`."""


class BertTextEstimator(BaseEstimator):
    """What the three estimators share: parameters, fitting, folders.

    Args:
        checkpoint: pretrained model to start from, as --init_checkpoint of
            run_classifier.py: a folder, a file or the name of a published
            model. None: random weights, with the next two.
        bert_config_file: model configuration, if not beside the checkpoint.
        vocab_file: vocabulary, if not beside the checkpoint.
        do_lower_case: whether case is folded; None: as the checkpoint says.
        max_seq_length: maximum number of tokens of an input.
        num_train_epochs: passes over the examples.
        train_batch_size: examples per training step.
        learning_rate: peak learning rate.
        warmup_proportion: fraction of the steps in which it rises.
        class_weight: None or balanced, of a `BertTextClassifier`.
        optimizer: adam_weight_decay, adamw or lamb.
        lazy_embeddings: update the embeddings of a batch's tokens alone.
        lora_rank: rank of LoRA; None: all weights are trained.
        gradient_accumulation_steps: micro-batches of a batch.
        text_column: name of the column of the text, where X is a DataFrame
            with `feature_columns`; None: its first column.
        feature_columns: names of columns beside the text, perhaps with a kind
            behind them, such as price:number; X is then a DataFrame.
        features: concat or text: how these are read.
        clean: rules that texts go through, of html, urls, digits, repeats.
        long_text: truncate, head_tail or windows.
        window_stride: tokens from one window to the next.
        window_pooling: mean, max or attention.
        max_windows: maximum number of windows of a text.
        dev_fraction: fraction of the examples that is held out; the weights
            of the epoch with the best metric on it are kept. 0: none is, and
            the last weights are kept.
        best_metric: that metric; None: that of the task.
        early_stopping_patience: evaluations without improvement after which
            training stops.
        predict_batch_size: examples per batch of predictions.
        mixed_precision: off, bfloat16 or float16; None: bfloat16 on GPUs that
            have it.
        concurrency: parts of a batch that are computed in parallel; None: as
            many as are fastest here.
        random_state: the seed, a whole number or a `RandomState` that it is
            drawn from.
        output_dir: folder of the run, in which a fit that was interrupted
            goes on when it is called again. None: a temporary one.
        overwrite_output_dir: whether a run in it is deleted.
        verbose: 0: nothing is printed; 1: what the script prints.
    """

    _problem: ClassVar[str]
    run_: FittedRun
    # What the column of the text was called in training.
    _text_name: str | None = None

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        bert_config_file: str | None = None,
        vocab_file: str | None = None,
        do_lower_case: bool | None = None,
        max_seq_length: int = 128,
        num_train_epochs: float = 3.0,
        train_batch_size: int = 32,
        learning_rate: float = 5e-5,
        warmup_proportion: float = 0.1,
        class_weight: str | None = None,
        optimizer: str = "adam_weight_decay",
        lazy_embeddings: bool = False,
        lora_rank: int | None = None,
        gradient_accumulation_steps: int = 1,
        text_column: str | None = None,
        feature_columns: Sequence[str] = (),
        features: str = "concat",
        clean: Sequence[str] = (),
        long_text: str | None = None,
        window_stride: int | None = None,
        window_pooling: str | None = None,
        max_windows: int | None = None,
        dev_fraction: float = 0.0,
        best_metric: str | None = None,
        early_stopping_patience: int | None = None,
        predict_batch_size: int = 32,
        mixed_precision: str | None = None,
        concurrency: int | None = None,
        random_state: int | np.random.RandomState | None = 12345,
        output_dir: str | os.PathLike[str] | None = None,
        overwrite_output_dir: bool = False,
        verbose: int = 0,
    ) -> None:
        self.checkpoint = checkpoint
        self.bert_config_file = bert_config_file
        self.vocab_file = vocab_file
        self.do_lower_case = do_lower_case
        self.max_seq_length = max_seq_length
        self.num_train_epochs = num_train_epochs
        self.train_batch_size = train_batch_size
        self.learning_rate = learning_rate
        self.warmup_proportion = warmup_proportion
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.lazy_embeddings = lazy_embeddings
        self.lora_rank = lora_rank
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.text_column = text_column
        self.feature_columns = feature_columns
        self.features = features
        self.clean = clean
        self.long_text = long_text
        self.window_stride = window_stride
        self.window_pooling = window_pooling
        self.max_windows = max_windows
        self.dev_fraction = dev_fraction
        self.best_metric = best_metric
        self.early_stopping_patience = early_stopping_patience
        self.predict_batch_size = predict_batch_size
        self.mixed_precision = mixed_precision
        self.concurrency = concurrency
        self.random_state = random_state
        self.output_dir = output_dir
        self.overwrite_output_dir = overwrite_output_dir
        self.verbose = verbose

    # Of scikit-learn.

    def __sklearn_tags__(self) -> Any:
        """Texts, not numbers, are the input."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.no_validation = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a trained model."""
        return hasattr(self, "run_")

    # Fitting.

    def _fit(
        self,
        X: Any,
        texts: Sequence[tuple[str, str | None]],
        y: Sequence[str | tuple[str, ...]],
        sample_weight: Any,
        **data: Any,
    ) -> None:
        """Trains on texts whose labels are written as in a file."""
        self._load_tensorflow()
        weights = weights_of(sample_weight, len(texts))
        examples = [
            InputExample(
                str(number + 1),
                *pair,
                label=label,
                place=f"X[{number}]",
                weight=weight,
                columns=cells,
            )
            for number, (pair, label, weight, cells) in enumerate(
                zip(texts, y, weights, self._cells(X, len(texts)), strict=True)
            )
        ]
        takes_pairs = are_pairs(texts)
        self.__dict__.pop("run_", None)
        if self.output_dir is None:
            run = FittedRun.temporary()
        else:
            run = FittedRun(pathlib.Path(self.output_dir))
        given = self._texts(
            X, splits={"train": examples}, takes_pairs=takes_pairs, **data
        )
        with _random_states_kept(), without_tracing_warnings():
            self._train(given, run.path)
        self.run_, self._text_name = run, given.text_name

    def _train(self, data: TextsInMemory, folder: pathlib.Path) -> None:
        from bert_keras3.finetuning.job import run
        from bert_keras3.training.session import NoScreen

        screen: Screen = NoScreen()
        if self.verbose:
            screen = PlainScreen()
        run(self._job(data, folder, do_train=True), screen)

    def _texts(
        self, X: Any, fitted: str | None = None, **more: Any
    ) -> TextsInMemory:
        from bert_keras3.finetuning.memory_data import TextsInMemory

        given, (text, columns) = self._given(), self._columns_of(X, fitted)
        return TextsInMemory(
            problem_type=self._problem,
            dev_fraction=given.dev_fraction,
            text_name=text,
            extra_columns=columns,
            features=self.features if columns else None,
            clean=tuple(self.clean),
            long_text=self.long_text,
            window_stride=given.window_stride,
            window_pooling=self.window_pooling,
            max_windows=given.max_windows,
            **more,
        )

    def _given(self) -> SimpleNamespace:
        """Returns the parameters, numbers of a NumPy grid as Python's."""
        values = self.get_params(deep=False)
        return SimpleNamespace(
            **{
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in values.items()
            }
        )

    def _job(
        self, data: TextsInMemory, folder: pathlib.Path, *, do_train: bool
    ) -> Any:
        """Returns the settings of the script for these parameters."""
        given = self._given()
        concurrency = self._concurrency()
        from bert_keras3.finetuning.settings import (
            EncoderChoices,
            Job,
            TrainingChoices,
        )
        from bert_keras3.training.devices import default_precision, has_gpu
        from bert_keras3.training.settings import Computing

        if self.concurrency is None and has_gpu():
            concurrency = 1
        precision = given.mixed_precision or default_precision()
        # Predictions draw nothing.
        seed = seed_of(given.random_state if do_train else None)
        do_eval = do_train and given.dev_fraction > 0
        return Job(
            output_dir=folder,
            data=data,
            encoder=EncoderChoices(
                init_checkpoint=None
                if given.checkpoint is None or not do_train
                else os.fspath(given.checkpoint),
                bert_config_file=given.bert_config_file if do_train else None,
                vocab_file=given.vocab_file if do_train else None,
                do_lower_case=given.do_lower_case if do_train else None,
                max_seq_length=given.max_seq_length if do_train else None,
            ),
            training=TrainingChoices(
                train_batch_size=given.train_batch_size,
                learning_rate=given.learning_rate,
                optimizer=given.optimizer,
                lazy_embeddings=given.lazy_embeddings,
                gradient_accumulation_steps=given.gradient_accumulation_steps,
                seed=seed,
                computing=Computing(mixed_precision=precision),
                num_train_epochs=given.num_train_epochs,
                warmup_proportion=given.warmup_proportion,
                class_weight=given.class_weight,
                best_metric=given.best_metric,
                early_stopping_patience=given.early_stopping_patience,
                lora_rank=given.lora_rank,
            ),
            do_train=do_train,
            do_eval=do_eval,
            do_predict=not do_train,
            overwrite_output_dir=do_train and given.overwrite_output_dir,
            predict_batch_size=given.predict_batch_size,
            concurrency=concurrency,
        )

    def _concurrency(self) -> int:
        return self.concurrency or suitable_concurrency()

    def _load_tensorflow(self) -> None:
        """Loads it as the script does, unless the caller has."""
        if "tensorflow" not in sys.modules:
            set_up_environment()
            load_tensorflow(suitable_threads(self._concurrency()))

    def _texts_of(
        self, X: Any, fitted: str | None = None
    ) -> list[tuple[str, str | None]]:
        """Returns the texts, without the columns beside them."""
        if not len(self.feature_columns):
            return texts_of(X)
        text, _ = self._columns_of(X, fitted)
        return texts_of(X[text])

    def _columns_of(
        self, X: Any, fitted: str | None
    ) -> tuple[str, tuple[str, ...]]:
        """Returns the name of the text, and the columns beside it.

        Args:
            X: a DataFrame, if there are columns beside the text.
            fitted: what the text was called in training.
        """
        if not len(self.feature_columns):
            return "text", ()
        wanted = self.text_column if fitted is None else fitted
        return text_and_columns(X, wanted, self.feature_columns)

    def _cells(self, X: Any, number: int) -> list[tuple[str, ...]]:
        """Returns the cells beside each text, as a file would have them."""
        names = column_names(self.feature_columns)
        if not names:
            return [()] * number
        columns = [[cell_of(one) for one in X[name]] for name in names]
        return list(zip(*columns, strict=True))

    def _texts_for(self, X: Any, y: Any) -> list[tuple[str, str | None]]:
        """Returns the texts, as many as there are values in y."""
        texts = self._texts_of(X)
        if len(texts) != len(y):
            raise ValueError(f"X has {len(texts)} texts, y {len(y)} values")
        return texts

    # Predicting.

    def _scores(self, X: Any) -> np.ndarray:
        """Returns the scores of texts, float [N, *score_shape].

        Raises:
            NotFittedError: there is no trained model.
        """
        check_is_fitted(self)
        self._load_tensorflow()
        texts = self._texts_of(X, self._text_name)
        examples = [
            InputExample(
                str(number + 1), *pair, place=f"X[{number}]", columns=cells
            )
            for number, (pair, cells) in enumerate(
                zip(texts, self._cells(X, len(texts)), strict=True)
            )
        ]
        pairs = are_pairs(texts)
        data = self._texts(
            X,
            self._text_name,
            splits={"test": examples},
            takes_pairs=pairs,
        )
        job = self._job(data, self.run_.path, do_train=False)
        with without_tracing_warnings():
            return self.run_.scores(job, pairs)

    # Keeping.

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes a run folder, as run_classifier.py has for its --output_dir.

        Args:
            folder: a new one, or an empty one.

        Raises:
            NotFittedError: there is no trained model.
            UserError: the folder has something in it.
        """
        check_is_fitted(self)
        target = pathlib.Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(
                f"{target}: is there already. Give a folder that is new or "
                "empty"
            )
        with atomic_folder(target) as temporary:
            for name, content in self.run_.files().items():
                (temporary / name).write_bytes(content)
            kept = {
                "parameters": {
                    name: _as_json(value)
                    for name, value in self.get_params().items()
                },
                "fitted": self._fitted_values(),
                "text_column": self._text_name,
            }
            (temporary / ESTIMATOR).write_text(
                json.dumps(kept, ensure_ascii=False, indent=2), "utf-8"
            )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Any:
        """Opens a folder that `save` or run_classifier.py wrote.

        Classes are strings if the script wrote it, as in its files.

        Raises:
            UserError: it is none, or of another kind of problem.
        """
        from bert_keras3.finetuning.run_folder import FinetuningFolder

        path = pathlib.Path(folder)
        settings = FinetuningFolder(path).read_settings()
        if settings.problem != cls._problem:
            raise UserError(
                f"{path}: is a model of a {settings.problem} problem, and "
                f"{cls.__name__} is for {cls._problem}"
            )
        kept: dict[str, Any] = {"parameters": {}, "fitted": {}}
        if (path / ESTIMATOR).exists():
            kept = json.loads((path / ESTIMATOR).read_text("utf-8"))
        elif settings.columns.get("features"):
            names, columns = settings.columns["names"], settings.columns
            kept["parameters"] = {
                "text_column": names[columns["text"]],
                "feature_columns": [names[n] for n in columns["features"]],
            }
        estimator = cls(**kept["parameters"])
        estimator.run_ = FittedRun(path)
        estimator._text_name = kept.get("text_column") or estimator.text_column
        estimator._set_fitted(settings.labels, kept["fitted"])
        return estimator

    def _fitted_values(self) -> dict[str, Any]:
        """Returns what `_set_fitted` needs beside the labels; JSON values."""
        return {}

    def _set_fitted(
        self, labels: tuple[str, ...], kept: Mapping[str, Any]
    ) -> None:
        """Sets the attributes that a fit sets."""

    def __getstate__(self) -> dict[str, Any]:
        """Pickles the files of the run, not the model in memory."""
        state = dict(super().__getstate__())
        if "run_" in state:
            state["run_"] = state["run_"].files()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Puts the files of the run into a temporary folder."""
        state = dict(state)
        files = state.pop("run_", None)
        super().__setstate__(state)
        if files is not None:
            self.run_ = FittedRun.temporary()
            for name, content in files.items():
                (self.run_.path / name).write_bytes(content)


def _as_json(value: Any) -> Any:
    """Returns a parameter as JSON has it: paths as texts, NumPy as Python.

    A generator of random numbers has no such form, and is left out.
    """
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """Leaves the random numbers of Python and NumPy as they were.

    A training seeds them.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
