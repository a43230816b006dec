"""The estimators: what the script gives, behind scikit-learn's interface."""

from __future__ import annotations

import csv
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from bert_keras3.finetuning import (
    BertTextClassifier,
    BertTextMultiLabelClassifier,
    BertTextRegressor,
)
from bert_keras3.finetuning.estimator_inputs import (
    as_table,
    seed_of,
    text_and_columns,
    texts_of,
)
from bert_keras3.finetuning.extra_columns import cell_of
from bert_keras3.finetuning.job import run
from bert_keras3.finetuning.run_folder import FinetuningFolder
from bert_keras3.finetuning.settings import (
    DataChoices,
    EncoderChoices,
    Job,
    TrainingChoices,
)
from bert_keras3.safekeeping.errors import UserError

ALL = (BertTextClassifier, BertTextMultiLabelClassifier, BertTextRegressor)
SETTINGS = {
    "max_seq_length": 16,
    "train_batch_size": 8,
    "learning_rate": 5e-3,
    "num_train_epochs": 6,
    "concurrency": 1,
    "mixed_precision": "off",
}

# Those of scikit-learn's checks that neither fit nor predict. The others give
# an estimator arrays of numbers, which are no texts.
CHECKS = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_mixin_order,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
)


@pytest.fixture(scope="module")
def texts(train_rows):
    return [text for _, text, _ in train_rows]


@pytest.fixture(scope="module")
def labels(train_rows):
    return [label for _, _, label in train_rows]


@pytest.fixture(scope="module")
def fitted(checkpoint, texts, labels):
    return BertTextClassifier(checkpoint, **SETTINGS).fit(texts, labels)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_checks_of_scikit_learn(kind, check):
    check(kind.__name__, kind())


def test_as_the_script(
    fitted, texts, labels, checkpoint, write_csv, tmp_path, screen
):
    """The same data, settings and seed: the same bits, either way round."""
    rows = list(zip(texts, labels, strict=True))
    train = write_csv(tmp_path / "train.csv", rows, header=("text", "label"))
    job = Job(
        output_dir=tmp_path / "out",
        data=DataChoices(train_file=str(train), test_file=str(train)),
        encoder=EncoderChoices(
            init_checkpoint=str(checkpoint), max_seq_length=16
        ),
        training=TrainingChoices(
            train_batch_size=8, learning_rate=5e-3, num_train_epochs=6
        ),
        do_train=True,
        do_predict=True,
        predict_batch_size=32,
    )
    run(job, screen)
    scripts = BertTextClassifier.load(tmp_path / "out")
    found = fitted.predict_proba(texts)
    np.testing.assert_array_equal(scripts.predict_proba(texts), found)
    assert fitted.predict(texts).tolist() == labels
    assert fitted.score(texts, labels) == 1
    with open(tmp_path / "out" / "predictions.csv", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    for row, probabilities in zip(read, found, strict=True):
        for name, value in zip(fitted.classes_, probabilities, strict=True):
            assert row[f"probability_{name}"] == f"{value:.6f}"

    fitted.save(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"model.keras", "vocab.txt", "bert_config.json"} <= names
    job = Job(
        output_dir=tmp_path / "saved",
        data=DataChoices(test_file=str(train)),
        encoder=EncoderChoices(),
        training=TrainingChoices(),
        do_predict=True,
    )
    run(job, screen)
    for name in ("predictions.csv",):
        ours = (tmp_path / "saved" / name).read_text("utf-8")
        assert ours == (tmp_path / "out" / name).read_text("utf-8")
    with pytest.raises(UserError, match="is there already"):
        fitted.save(tmp_path / "saved")


def test_copies(fitted, texts):
    """A pickle has the weights; a clone has the parameters alone."""
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.run_.path != fitted.run_.path
    np.testing.assert_array_equal(
        copy.predict_proba(texts), fitted.predict_proba(texts)
    )
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(fitted).predict(texts)


@pytest.mark.slow
def test_random_numbers_of_the_caller_stay(fitted, checkpoint, texts, labels):
    np.random.seed(3)
    wanted = np.random.default_rng(0).random(), np.random.random()
    np.random.seed(3)
    settings = {**SETTINGS, "num_train_epochs": 0.2}
    BertTextClassifier(checkpoint, **settings).fit(texts, labels)
    assert (np.random.default_rng(0).random(), np.random.random()) == wanted


@pytest.mark.slow
def test_whole_numbers_and_weights(checkpoint, texts, labels):
    """Texts of weight 0 teach nothing, here that every film is bad."""
    y = [10 if label == labels[0] else 9 for label in labels]
    doubled = [*texts, *texts]
    wrong = [*y, *[19 - one for one in y]]
    weights = [1.0] * len(texts) + [0.0] * len(texts)
    classifier = BertTextClassifier(checkpoint, **SETTINGS)
    classifier.fit(doubled, wrong, sample_weight=weights)
    assert classifier.classes_.tolist() == [9, 10]
    assert classifier.predict(texts).tolist() == y
    probabilities = classifier.predict_proba(texts)
    assert (probabilities.argmax(-1) == np.array(y) - 9).all()


@pytest.mark.slow
def test_in_scikit_learn(checkpoint, texts, labels):
    """Pipeline, ColumnTransformer, grid search and cross-validation."""
    classifier = BertTextClassifier(checkpoint, **SETTINGS)
    found = cross_val_predict(
        classifier, texts, labels, cv=2, method="predict_proba"
    )
    assert found.shape == (len(texts), 2)

    grid = GridSearchCV(
        Pipeline(
            [
                ("upper", FunctionTransformer(lambda x: x)),
                ("bert", classifier),
            ]
        ),
        {"bert__learning_rate": [1e-6, 5e-3]},
        cv=2,
        error_score="raise",
    )
    grid.fit(np.array(texts), labels)
    assert grid.best_params_ == {"bert__learning_rate": 5e-3}
    assert grid.score(np.array(texts), labels) > 0.9

    table = np.array(
        [[number, text] for number, text in enumerate(texts)], object
    )
    columns = ColumnTransformer([("text", "passthrough", [1])])
    pipeline = Pipeline([("columns", columns), ("bert", classifier)])
    assert pipeline.fit(table, labels).score(table, labels) == 1


@pytest.mark.slow
def test_other_problems(checkpoint, texts, labels, tmp_path):
    settings = {**SETTINGS, "num_train_epochs": 8}
    y = np.array([label == labels[0] for label in labels])
    several = BertTextMultiLabelClassifier(checkpoint, **settings)
    several.fit(texts, np.stack([y, ~y], 1).astype(int))
    assert several.predict(texts).tolist() == [
        [a, 1 - a] for a in y.astype(int)
    ]
    several.save(tmp_path / "several")
    again = BertTextMultiLabelClassifier.load(tmp_path / "several")
    assert again.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(
        again.predict_proba(texts), several.predict_proba(texts)
    )

    numbers = BertTextRegressor(checkpoint, **settings).fit(texts, y + 0.5)
    assert numbers.score(texts, y + 0.5) > 0.8
    with pytest.raises(UserError, match="multi_label problem"):
        BertTextClassifier.load(tmp_path / "several")


@pytest.mark.slow
def test_columns_beside_the_text(checkpoint, texts, tmp_path):
    """A DataFrame with a price, which alone says what the label is."""
    pandas = pytest.importorskip("pandas")
    prices = [None if n % 11 == 5 else n % 9 for n in range(len(texts))]
    table = pandas.DataFrame(
        {"review": texts, "price": prices, "brand": ["Ant", "Bee"] * 20}
    )
    y = np.array([0 if price is None else int(price > 4) for price in prices])
    settings = {**SETTINGS, "num_train_epochs": 10}
    classifier = BertTextClassifier(
        checkpoint, feature_columns=["price:number", "brand"], **settings
    )
    classifier.fit(table, y)
    assert classifier.score(table, y) > 0.9
    # In another order of columns, and after it was saved.
    classifier.save(tmp_path / "saved")
    again = BertTextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(
        again.predict_proba(table[["brand", "review", "price"]]),
        classifier.predict_proba(table),
    )
    with pytest.raises(ValueError, match="no column 'price'"):
        classifier.predict(table[["review", "brand"]])
    with pytest.raises(ValueError, match="must be a DataFrame"):
        classifier.predict(texts)
    # The script reads the same columns.
    settings = FinetuningFolder(tmp_path / "saved").read_settings()
    assert settings.columns["names"] == ["review", "label", "price", "brand"]


@pytest.mark.slow
def test_pairs_and_a_folder(checkpoint, texts, labels, tmp_path):
    """Two columns are a pair; a fit that is repeated has nothing to do."""
    pairs = [(text, "film") for text in texts]
    settings = {**SETTINGS, "output_dir": tmp_path / "out", "dev_fraction": 0.2}
    classifier = BertTextClassifier(checkpoint, **settings)
    classifier.fit(pairs, labels)
    first = classifier.predict_proba(np.array(pairs, object))
    time = (tmp_path / "out" / "model.keras").stat().st_mtime_ns
    classifier.fit(pairs, labels)
    np.testing.assert_array_equal(classifier.predict_proba(pairs), first)
    assert (tmp_path / "out" / "model.keras").stat().st_mtime_ns == time
    with pytest.raises(ValueError, match="fitted on pairs"):
        classifier.predict(texts)
    classifier.set_params(learning_rate=1e-3)
    with pytest.raises(UserError, match="other settings"):
        classifier.fit(pairs, labels)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("one text", ["a"], "is one text"),
        ([], [], "no texts"),
        (["a", 3], ["x", "y"], r"X\[1\] is int 3"),
        (["a", "b"], ["x"], "X has 2 texts, y 1 values"),
        (["a", "b"], ["x", "x"], "the one class"),
        (["a", ("b", "c")], ["x", "y"], "both single texts and pairs"),
        ([("a", "b", "c")] * 2, ["x", "y"], "has 3 columns"),
        (["a", "b"], [0.5, 0.7], "Unknown label type"),
        (["a", "b"], ["x", None], r"y\[1\] is missing"),
    ],
)
def test_mistakes(checkpoint, X, y, message):
    classifier = BertTextClassifier(checkpoint, **SETTINGS)
    with pytest.raises(ValueError, match=message):
        classifier.fit(X, y)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [np.nan, 1], [0, 0]])
def test_wrong_weights(checkpoint, weights):
    classifier = BertTextClassifier(checkpoint, **SETTINGS)
    with pytest.raises(ValueError, match="sample_weight"):
        classifier.fit(["a", "b"], [0, 1], sample_weight=weights)


def test_missing_texts_are_empty():
    pandas = pytest.importorskip("pandas")
    given = [None, float("nan"), b"a", "b", pandas.NA]
    assert texts_of(given)[:4] == [
        ("", None),
        ("", None),
        ("a", None),
        ("b", None),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("price", "must be a list of names"),
        ([1], "must be a list of names"),
        (["review"], "'review' is the text"),
        (["twice"], "several columns 'twice'"),
        (["none"], "no column 'none'"),
    ],
)
def test_columns_that_cannot_be(columns, message):
    pandas = pytest.importorskip("pandas")
    names = ["review", "price", "twice", "twice"]
    table = pandas.DataFrame([["a", 1, 2, 3]], columns=names)
    with pytest.raises(ValueError, match=message):
        text_and_columns(table, None, columns)


def test_what_pandas_and_numpy_have():
    """A categorical column is one of categories; a cell is one value."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"review": ["a"], "size": [3], "day": [4]})
    table["size"] = table["size"].astype("category")
    assert text_and_columns(table, None, ["day", "size"]) == (
        "review",
        ("day", "size:category"),
    )
    missing = [None, pandas.NA, pandas.NaT, np.nan, np.datetime64("NaT")]
    assert [cell_of(one) for one in missing] == [""] * 5
    with pytest.raises(ValueError, match="must be one number"):
        cell_of(np.arange(2))
    assert seed_of(np.int64(3)) == 3
    classifier = BertTextClassifier(
        train_batch_size=np.int64(8), max_windows=np.int64(3)
    )
    job = classifier._job(classifier._texts(None), "out", do_train=True)
    assert type(job.training.train_batch_size) is int
    assert type(job.data.max_windows) is int
    assert seed_of(np.random.RandomState(0)) == seed_of(
        np.random.RandomState(0)
    )
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        as_table([["a"], ["a", "b"]])
