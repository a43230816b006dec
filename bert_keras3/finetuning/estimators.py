"""BERT as scikit-learn estimators: texts and labels in, a run folder behind.

    classifier = BertTextClassifier("uncased_L-12_H-768_A-12")
    classifier.fit(["Fine.", "Awful."], ["good", "bad"])
    classifier.predict(["Fine."])  # array(['good'])

Each fit is a run of `job.py` with the flags of run_classifier.py as
parameters: the same data, parameters and seed give the same weights as the
script, and `save` writes the folder that the script would have written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from bert_keras3.finetuning.extra_columns import cell_of
from bert_keras3.inputs.columns import column_names
from bert_keras3.inputs.examples import InputExample
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
    from bert_keras3.finetuning.job import OpenedModel
    from bert_keras3.finetuning.memory_data import TextsInMemory
    from bert_keras3.training.predict import Predictor
    from bert_keras3.training.session import Screen

ESTIMATOR = "estimator.json"
"""The parameters and classes of an estimator, in the folder of `save`."""


class _BertTextEstimator(BaseEstimator):
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
        random_state: the seed, a whole number.
        output_dir: folder of the run, in which a fit that was interrupted
            goes on when it is called again. None: a temporary one.
        overwrite_output_dir: whether a run in it is deleted.
        verbose: 0: nothing is printed; 1: what the script prints.
    """

    _problem: ClassVar[str]
    run_: _Run

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
        random_state: int | None = 12345,
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
        weights = _weights_of(sample_weight, len(texts))
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
        takes_pairs = _are_pairs(texts)
        self.__dict__.pop("run_", None)
        if self.output_dir is None:
            run = _Run.temporary()
        else:
            run = _Run(pathlib.Path(self.output_dir))
        given = self._texts(
            splits={"train": examples}, takes_pairs=takes_pairs, **data
        )
        with _random_states_kept(), without_tracing_warnings():
            self._train(given, run.path)
        self.run_ = run

    def _train(self, data: TextsInMemory, folder: pathlib.Path) -> None:
        from bert_keras3.finetuning.job import run
        from bert_keras3.training.session import NoScreen

        screen: Screen = NoScreen()
        if self.verbose:
            screen = _Print()
        run(self._job(data, folder, do_train=True), screen)

    def _texts(self, **more: Any) -> TextsInMemory:
        from bert_keras3.finetuning.memory_data import TextsInMemory

        return TextsInMemory(
            problem_type=self._problem,
            dev_fraction=self.dev_fraction,
            extra_columns=tuple(self.feature_columns),
            features=self.features if self.feature_columns else None,
            clean=tuple(self.clean),
            long_text=self.long_text,
            window_stride=self.window_stride,
            window_pooling=self.window_pooling,
            max_windows=self.max_windows,
            **more,
        )

    def _job(
        self, data: TextsInMemory, folder: pathlib.Path, *, do_train: bool
    ) -> Any:
        """Returns the settings of the script for these parameters."""
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
        precision = self.mixed_precision or default_precision()
        seed = 12345 if self.random_state is None else self.random_state
        do_eval = do_train and self.dev_fraction > 0
        return Job(
            output_dir=folder,
            data=data,
            encoder=EncoderChoices(
                init_checkpoint=None
                if self.checkpoint is None or not do_train
                else os.fspath(self.checkpoint),
                bert_config_file=self.bert_config_file if do_train else None,
                vocab_file=self.vocab_file if do_train else None,
                do_lower_case=self.do_lower_case if do_train else None,
                max_seq_length=self.max_seq_length if do_train else None,
            ),
            training=TrainingChoices(
                train_batch_size=self.train_batch_size,
                learning_rate=self.learning_rate,
                optimizer=self.optimizer,
                lazy_embeddings=self.lazy_embeddings,
                gradient_accumulation_steps=self.gradient_accumulation_steps,
                seed=seed,
                computing=Computing(mixed_precision=precision),
                num_train_epochs=self.num_train_epochs,
                warmup_proportion=self.warmup_proportion,
                class_weight=self.class_weight,
                best_metric=self.best_metric,
                early_stopping_patience=self.early_stopping_patience,
                lora_rank=self.lora_rank,
            ),
            do_train=do_train,
            do_eval=do_eval,
            do_predict=not do_train,
            overwrite_output_dir=do_train and self.overwrite_output_dir,
            predict_batch_size=self.predict_batch_size,
            concurrency=concurrency,
        )

    def _concurrency(self) -> int:
        return self.concurrency or suitable_concurrency()

    def _load_tensorflow(self) -> None:
        """Loads it as the script does, unless the caller has."""
        if "tensorflow" not in sys.modules:
            set_up_environment()
            load_tensorflow(suitable_threads(self._concurrency()))

    def _texts_of(self, X: Any) -> list[tuple[str, str | None]]:
        """Returns the texts, without the columns beside them."""
        names = [*column_names(self.feature_columns)]
        if not names:
            return texts_of(X)
        if not hasattr(X, "columns"):
            raise ValueError(
                "with feature_columns X must be a DataFrame, and is "
                f"{type(X).__name__}"
            )
        wanted = self.text_column or X.columns[0]
        for name in (wanted, *names):
            if name not in X.columns:
                raise ValueError(
                    f"X has no column {name!r}; its columns are "
                    f"{', '.join(map(str, X.columns))}"
                )
        return texts_of(X[wanted])

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
        texts = self._texts_of(X)
        examples = [
            InputExample(
                str(number + 1), *pair, place=f"X[{number}]", columns=cells
            )
            for number, (pair, cells) in enumerate(
                zip(texts, self._cells(X, len(texts)), strict=True)
            )
        ]
        pairs = _are_pairs(texts)
        data = self._texts(splits={"test": examples}, takes_pairs=pairs)
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
                    name: os.fspath(value)
                    if isinstance(value, os.PathLike)
                    else value
                    for name, value in self.get_params().items()
                },
                "fitted": self._fitted_values(),
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
        estimator = cls(**kept["parameters"])
        estimator.run_ = _Run(path)
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
            self.run_ = _Run.temporary()
            for name, content in files.items():
                (self.run_.path / name).write_bytes(content)


class BertTextClassifier(ClassifierMixin, _BertTextEstimator):
    """Each text has one of C classes; parameters as of all estimators here.

    Attributes:
        classes_: the C classes, sorted.
    """

    _problem = "single_label"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None
    ) -> BertTextClassifier:
        """Trains.

        Args:
            X: N texts or pairs of texts; see `texts_of`.
            y: N classes: strings, whole numbers or truth values.
            sample_weight: float [N] that the loss of each text is multiplied
                with, or None.

        Raises:
            ValueError: X, y or a parameter is wrong.
        """
        texts = self._texts_for(X, y)
        y = np.asarray(y)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        names = [str(one) for one in classes.tolist()]
        if len(set(names)) < len(names):
            raise ValueError(
                f"y has classes that are written alike: {classes.tolist()}"
            )
        if len(names) < 2:
            raise ValueError(
                f"y has the one class {names}; a classifier needs two"
            )
        self._fit(
            X,
            texts,
            [names[code] for code in codes.ravel().tolist()],
            sample_weight,
            labels=_in_order(names),
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class, float32 [N, C]."""
        scores = self._scores(X)
        labels = _in_order([str(one) for one in self.classes_.tolist()])
        places = {label: place for place, label in enumerate(labels)}
        order = [places[str(one)] for one in self.classes_.tolist()]
        return scores[:, order]

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each text, [N]."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(-1)])

    def _fitted_values(self) -> dict[str, Any]:
        return {
            "classes": self.classes_.tolist(),
            "dtype": self.classes_.dtype.str,
        }

    def _set_fitted(
        self, labels: tuple[str, ...], kept: Mapping[str, Any]
    ) -> None:
        if kept:
            self.classes_ = np.array(kept["classes"], kept["dtype"])
        else:
            self.classes_ = np.unique(np.array(labels))


class BertTextMultiLabelClassifier(ClassifierMixin, _BertTextEstimator):
    """Each text has any number of C labels.

    Attributes:
        classes_: the names of the C labels: the columns of a DataFrame, else
            0, 1, …
    """

    _problem = "multi_label"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None
    ) -> BertTextMultiLabelClassifier:
        """Trains.

        Args:
            X: N texts or pairs of texts; see `texts_of`.
            y: 0 or 1 for each label, [N, C], as of `MultiLabelBinarizer`.
            sample_weight: see `BertTextClassifier.fit`.

        Raises:
            ValueError: X, y or a parameter is wrong.
        """
        texts = self._texts_for(X, y)
        names = getattr(y, "columns", None)
        y = np.asarray(y)
        if y.ndim != 2 or not np.isin(y, (0, 1)).all():
            raise ValueError(
                "y must have a row for each text and a column for each label, "
                f"with 0 or 1 in them; it has shape {y.shape} and dtype "
                f"{y.dtype}"
            )
        classes = np.arange(y.shape[1]) if names is None else np.asarray(names)
        labels = tuple(map(str, classes.tolist()))
        rows = y.astype(int).astype(str).tolist()
        self._fit(
            X,
            texts,
            [tuple(row) for row in rows],
            sample_weight,
            labels=labels,
            label_columns=labels,
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each label, float32 [N, C]."""
        return self._scores(X)

    def predict(self, X: Any) -> np.ndarray:
        """Returns whether each text has each label, int [N, C]."""
        probabilities = self.predict_proba(X)
        task: Any = self.run_.settings.task
        thresholds = np.array(task.thresholds or 0.5, np.float32)
        return (probabilities >= thresholds).astype(int)

    def _set_fitted(
        self, labels: tuple[str, ...], kept: Mapping[str, Any]
    ) -> None:
        self.classes_ = np.array(labels)
        if self.classes_.tolist() == [*map(str, range(len(labels)))]:
            self.classes_ = np.arange(len(labels))


class BertTextRegressor(RegressorMixin, _BertTextEstimator):
    """Each text has a number."""

    _problem = "regression"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None
    ) -> BertTextRegressor:
        """Trains.

        Args:
            X: N texts or pairs of texts; see `texts_of`.
            y: float [N].
            sample_weight: see `BertTextClassifier.fit`.

        Raises:
            ValueError: X, y or a parameter is wrong.
        """
        texts = self._texts_for(X, y)
        y = np.asarray(y, float)
        if y.ndim != 1 or not np.isfinite(y).all():
            raise ValueError(
                f"y must be one finite number for each text; its shape is "
                f"{y.shape}"
            )
        self._fit(
            X, texts, [repr(value) for value in y.tolist()], sample_weight
        )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Returns the number of each text, float32 [N]."""
        return self._scores(X).reshape(-1)


class _Run:
    """A run folder, and the model in it once it has been asked.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Takes a folder."""
        self.path = path
        self._opened: tuple[OpenedModel, Predictor] | None = None
        # Callers such as `cross_val_predict` may use threads.
        self._lock = threading.Lock()

    @classmethod
    def temporary(cls) -> _Run:
        """Makes a folder that is deleted with the object."""
        run = cls(pathlib.Path(tempfile.mkdtemp(prefix="bert_estimator_")))
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
        return run

    @property
    def settings(self) -> Any:
        """The settings that the folder keeps."""
        from bert_keras3.finetuning.run_folder import FinetuningFolder

        return FinetuningFolder(self.path).read_settings()

    def files(self) -> dict[str, bytes]:
        """Returns {name: content} of what predictions need."""
        from bert_keras3.finetuning.run_folder import KEPT_FILES

        return {
            name: (self.path / name).read_bytes()
            for name in KEPT_FILES
            if (self.path / name).exists()
        }

    def scores(self, job: Any, takes_pairs: bool) -> np.ndarray:
        """Computes the scores of the texts of a job, [N, *score_shape]."""
        from bert_keras3.finetuning.datasets import kind_of
        from bert_keras3.finetuning.encoding import encode
        from bert_keras3.finetuning.job import (
            open_model,
            padded_as,
            predictor_of,
        )
        from bert_keras3.finetuning.run_folder import FinetuningFolder
        from bert_keras3.inputs.batches import BatchLimit

        with self._lock:
            if self._opened is None:
                opened = open_model(job, FinetuningFolder(self.path))
                self._opened = (
                    opened,
                    predictor_of(job, opened.model, opened.settings.task),
                )
            opened, predictor = self._opened
        settings, source = opened.settings, job.data.splits["test"]
        if source and takes_pairs != settings.takes_pairs:
            wanted = (
                "pairs of texts" if settings.takes_pairs else "single texts"
            )
            raise ValueError(f"the model was fitted on {wanted}")
        if not source:
            raise ValueError("X has no texts")
        task: Any = settings.task
        with tempfile.TemporaryDirectory(prefix="bert_estimator_") as folder:
            file = encode(
                kind_of(job.data).find(job.data).source("test"),
                opened.encoder,
                pathlib.Path(folder),
                task,
                None,
            )
            store = padded_as(job, file.store, task, settings.max_seq_length)
            examples = dataclasses.replace(file, store=store).examples
            outputs = examples.outputs(
                predictor, BatchLimit(job.predict_batch_size), task.inputs
            )
            scores: np.ndarray = task.scores_of(
                task.logits_of(outputs, examples)
            )
        return scores


class _Print:
    """The screen of `verbose=1`."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)

    def say(self, line: str) -> None:
        """Prints a line."""
        self._console.print(line, markup=False, soft_wrap=True)

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
    ) -> None:
        """Prints the cells of each row, with | between."""
        for row in ([title] if title else [], headers, *rows):
            self.say(" | ".join(map(str, row)))


def texts_of(X: Any) -> list[tuple[str, str | None]]:
    """Returns texts, or pairs, however they are given.

    Args:
        X: a list, array or Series of N strings; of N pairs; or an array or
            DataFrame of N rows and one or two columns. A missing one (None,
            NaN) is an empty text.

    Raises:
        ValueError: it is none of these; the message says which item.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError("X must be a list of texts, and is one text")
    if hasattr(X, "iloc"):  # of pandas
        X = X.to_numpy(dtype=object)
    items = list(X)
    if not items:
        raise ValueError("X has no texts")
    return [_text_or_pair(number, item) for number, item in enumerate(items)]


def _text_or_pair(number: int, item: Any) -> tuple[str, str | None]:
    if isinstance(item, (list, tuple, np.ndarray)):
        parts = list(item)
        if len(parts) not in (1, 2):
            raise ValueError(
                f"X[{number}] has {len(parts)} columns; it must be a text or "
                "a pair of texts"
            )
        first, *second = (_text(number, part) for part in parts)
        return first, second[0] if second else None
    return _text(number, item), None


def _text(number: int, item: Any) -> str:
    # NaN, NaT and pandas' NA are not equal to themselves, or not comparable.
    if item is None or (not isinstance(item, (str, bytes)) and item != item):
        return ""
    if isinstance(item, bytes):
        return item.decode("utf-8", "ignore")
    if not isinstance(item, str):
        raise ValueError(
            f"X[{number}] is {type(item).__name__} {item!r:.60}; it must be a "
            "string"
        )
    return item


def _are_pairs(texts: Sequence[tuple[str, str | None]]) -> bool:
    """Whether texts are pairs; a ValueError if some are and others are not."""
    of_pairs = {second is not None for _, second in texts}
    if len(of_pairs) > 1:
        raise ValueError("X has both single texts and pairs")
    return of_pairs == {True}


def _weights_of(sample_weight: Any, number: int) -> list[float]:
    if sample_weight is None:
        return [1.0] * number
    weights = np.asarray(sample_weight, float)
    if weights.ndim == 0:
        weights = np.full(number, float(weights))
    if weights.shape != (number,):
        raise ValueError(
            f"sample_weight has shape {weights.shape}; X has {number} texts"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and not negative")
    if not weights.any():
        raise ValueError("sample_weight is 0 everywhere")
    return weights.tolist()


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Returns class names in the order of the script's outputs."""
    from bert_keras3.finetuning.texts import ordered_labels

    return ordered_labels(names)


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
