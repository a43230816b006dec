"""BERT as scikit-learn estimators: texts and labels in, a run folder behind.

    classifier = BertTextClassifier("uncased_L-12_H-768_A-12")
    classifier.fit(["Fine.", "Awful."], ["good", "bad"])
    classifier.predict(["Fine."])  # array(['good'])

Each fit is a run of `job.py` with the flags of run_classifier.py as
parameters: the same data, parameters and seed give the same weights as the
script, and `save` writes the folder that the script would have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from bert_keras3.finetuning.estimator_base import BertTextEstimator
from bert_keras3.finetuning.estimator_inputs import as_table, check_no_gaps


class BertTextClassifier(ClassifierMixin, BertTextEstimator):
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
        check_no_gaps(y.ravel())
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


class BertTextMultiLabelClassifier(ClassifierMixin, BertTextEstimator):
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
            y: 0 or 1 for each label, [N, C], as of `MultiLabelBinarizer`;
                may be sparse.
            sample_weight: see `BertTextClassifier.fit`.

        Raises:
            ValueError: X, y or a parameter is wrong.
        """
        names = getattr(y, "columns", None)
        if hasattr(y, "toarray"):  # of SciPy
            y = y.toarray()
        texts = self._texts_for(X, y)
        if not hasattr(y, "shape"):
            y = as_table(y)
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


class BertTextRegressor(RegressorMixin, BertTextEstimator):
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
        check_no_gaps(y)
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


def _in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Returns class names in the order of the script's outputs."""
    from bert_keras3.finetuning.texts import ordered_labels

    return ordered_labels(names)
