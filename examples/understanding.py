"""Small experiments on what BERT is made of, each with a few numbers.

    python -m examples.understanding CHECKPOINT TEXTS [PAGE]

CHECKPOINT is a pretrained BERT of any format, such as
`uncased_L-12_H-768_A-12`. TEXTS has a sentence a line and an empty line between
documents, as create_pretraining_data.py reads it. PAGE is an HTML file to
write, with the third experiment as a picture. docs/understanding.md says what
the numbers mean.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bert_keras3.commands.screen import print_table
from bert_keras3.training.environment import load_tensorflow, set_up_environment

_RARE_STEPS, _SEEN_AT, _LEARNING_RATE = 1000, 100, 1e-4


def main(checkpoint: str, texts: str, page: str | None = None) -> None:
    """Runs all experiments."""
    documents = read_documents(pathlib.Path(texts))
    print_table(
        ("embedding", "mean norm", "cosine without it"),
        embeddings(checkpoint),
        title="1. What the three embeddings add",
    )
    print_table(
        ("question", "by", "right"),
        sentence_pairs(documents),
        title="2. Next sentence against sentence order, by words alone",
    )
    print_table(
        ("update", "moved in its step", "moved afterwards", "norm at the end"),
        rare_word(),
        title="3. A word that occurs once in 1000 steps",
    )
    print_table(
        ("x", "erf", "tanh", "difference"), gelu(), title="4. Two GELUs"
    )
    print_table(
        ("layer", "gradient norm"),
        gradient_norms(),
        title="5. Gradients of a post-LN encoder with random weights",
    )
    print_table(
        ("step", "without correction", "with correction"),
        first_steps(),
        title="6. The size of Adam's updates, in learning rates",
    )

    if page is not None:
        draw_rare_word(pathlib.Path(page))


def read_documents(path: pathlib.Path) -> list[list[str]]:
    """Returns the sentences of each document that has two at least."""
    blocks = path.read_text("utf-8").split("\n\n")
    documents = [
        [line.strip() for line in block.split("\n") if line.strip()]
        for block in blocks
    ]
    return [document for document in documents if len(document) > 1]


def embeddings(checkpoint: str) -> list[tuple[str, str, str]]:
    """Returns of each embedding its norm, and what it changes.

    The cosine is that of the last vectors of a text's tokens with and without
    the embedding.
    """
    from bert_keras3 import checkpointing
    from modeling import BertModel

    opened = checkpointing.open(checkpoint)
    model = BertModel(opened.config)
    opened.load_into(model)
    tokenizer = opened.tokenizer()
    vocab = tokenizer.vocab
    first = tokenizer.encode("The dog bit the man.")
    second = tokenizer.encode("The man bit the dog.")
    ids = [vocab["[CLS]"], *first, vocab["[SEP]"], *second, vocab["[SEP]"]]
    inputs = {
        "input_ids": np.array([ids]),
        "segment_ids": np.array(
            [[0] * (len(first) + 2) + [1] * (len(second) + 1)]
        ),
    }
    tables = {
        name: next(
            weight
            for weight in model.weights
            if weight.path.endswith(f"{name}_embeddings")
        )
        for name in ("word", "token_type", "position")
    }

    def vectors() -> np.ndarray:
        found = np.asarray(model(inputs)["sequence_output"])[0]
        return found / np.linalg.norm(found, axis=-1, keepdims=True)

    whole = vectors()
    used = {
        "word": ids,
        "token_type": [0, 1],
        "position": list(range(len(ids))),
    }
    rows = []
    for name, table in tables.items():
        values = np.asarray(table)
        norm = np.linalg.norm(values[used[name]], axis=-1).mean()
        mean = np.broadcast_to(values[used[name]].mean(0), values.shape)
        table.assign(mean)
        cosine = (whole * vectors()).sum(-1).mean()
        table.assign(values)
        rows.append((name, f"{norm:.2f}", f"{cosine:.2f}"))
    return rows


def sentence_pairs(
    documents: Sequence[Sequence[str]],
) -> list[tuple[str, str, str]]:
    """Returns how often words alone answer what pretraining asks.

    Next sentence: does B follow A, or is it from another document? By the
    cosine of their words. Sentence order: A B, or B A? By the same cosine, and
    by a linear model over the words of the first and those of the second.
    """
    import scipy.sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeClassifier

    rng = np.random.default_rng(0)
    first, second, other = [], [], []
    for number, document in enumerate(documents):
        for place in range(len(document) - 1):
            elsewhere = int(rng.integers(len(documents) - 1))
            elsewhere += elsewhere >= number
            first.append(document[place])
            second.append(document[place + 1])
            other.append(str(rng.choice(documents[elsewhere])))
    words = TfidfVectorizer(sublinear_tf=True)
    words.fit([*first, second[-1]])
    a, b, c = (words.transform(some) for some in (first, second, other))

    def cosine(one: Any, another: Any) -> np.ndarray:
        return np.asarray(one.multiply(another).sum(-1)).ravel()

    size = len(first)
    half = size // 2

    def accuracy(right: np.ndarray, wrong: np.ndarray) -> float:
        """Of the best threshold on the first half, on the second half."""
        scores = np.concatenate([right[:half], wrong[:half]])
        thresholds = np.unique(scores)
        is_right = [
            (right[:half] >= one).mean() + (wrong[:half] < one).mean()
            for one in thresholds[:: max(1, len(thresholds) // 500)]
        ]
        step = max(1, len(thresholds) // 500)
        best = thresholds[::step][int(np.argmax(is_right))]
        return float(
            ((right[half:] >= best).mean() + (wrong[half:] < best).mean()) / 2
        )

    ordered, swapped = (
        scipy.sparse.hstack(pair).tocsr() for pair in ((a, b), (b, a))
    )
    model = RidgeClassifier()
    model.fit(
        scipy.sparse.vstack([ordered[:half], swapped[:half]]),
        np.repeat([1, 0], half),
    )
    of_order = model.score(
        scipy.sparse.vstack([ordered[half:], swapped[half:]]),
        np.repeat([1, 0], size - half),
    )
    return [
        (
            "next sentence",
            "cosine",
            f"{accuracy(cosine(a, b), cosine(a, c)):.1%}",
        ),
        (
            "sentence order",
            "cosine",
            f"{accuracy(cosine(a, b), cosine(b, a)):.1%}",
        ),
        ("sentence order", "words of each", f"{of_order:.1%}"),
    ]


def norms_of_rows(*, lazy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Trains a table of three words with gradients that are made up.

    A word that occurs in every step, one that occurs once, and one that never
    does.

    Returns:
        (values of the rows after each step [T, 3, E], the first ones [3, E]).
    """
    import keras
    import tensorflow as tf

    from bert_keras3.optimization import AdamWeightDecay

    rng = np.random.default_rng(0)
    start = rng.normal(0, 0.02, (3, 128)).astype(np.float32)
    table = keras.Variable(start, name="word_embeddings")
    optimizer = AdamWeightDecay(
        _LEARNING_RATE,
        clip_norm=None,
        lazy_rows=("word_embeddings$",) if lazy else (),
    )
    optimizer.build([table])
    found = []
    for step in range(_RARE_STEPS):
        rows = [0, 1] if step == _SEEN_AT else [0]
        slices = rng.normal(0, 1e-3, (len(rows), 128)).astype(np.float32)
        gradient = tf.IndexedSlices(
            tf.constant(slices), tf.constant(rows), tf.constant([3, 128])
        )
        optimizer.apply([gradient], [table])
        found.append(table.numpy().copy())
    return np.stack(found), start


def rare_word() -> list[tuple[str, str, str, str]]:
    """Returns how far a word moves that occurs once, in learning rates."""
    rows = []
    for lazy in (False, True):
        values, start = norms_of_rows(lazy=lazy)
        # What weight decay alone does to the row is no step of Adam.
        before = values[_SEEN_AT - 1, 1]
        own = np.abs(values[_SEEN_AT, 1] - before).mean()
        later = np.abs(values[-1, 1] - values[_SEEN_AT, 1]).mean()
        norm = np.linalg.norm(values[-1], axis=-1) / np.linalg.norm(
            start, axis=-1
        )
        rows.append(
            (
                "lazy" if lazy else "ordinary",
                f"{own / _LEARNING_RATE:.1f}",
                f"{later / _LEARNING_RATE:.1f}",
                f"{norm[1]:.3f} (never seen: {norm[2]:.3f})",
            )
        )
    return rows


def draw_rare_word(path: pathlib.Path) -> None:
    """Draws how far the rows of both words move, ordinarily and lazily."""
    from bert_keras3.reports.charts import line_chart

    steps = np.arange(1, _RARE_STEPS + 1)
    lines = {}
    for lazy in (False, True):
        values, start = norms_of_rows(lazy=lazy)
        for row, name in ((1, "seen once"), (2, "never seen")):
            moved = np.linalg.norm(values[:, row] - start[row], axis=-1)
            name = f"{name}, {'lazy' if lazy else 'ordinary'}"
            lines[name] = (steps, moved)
    chart = line_chart(lines, x_title="step", y_title="distance moved")
    colours = ("#1b5ea8", "#b8540a", "#168254", "#777")
    keys = "".join(
        f'<span style="color:{colour}">— {name}</span> '
        for name, colour in zip(lines, colours, strict=True)
    )
    style = "".join(
        f".c{number}{{stroke:{colour};fill:none;stroke-width:1.8}}"
        for number, colour in enumerate(colours)
    )
    path.write_text(
        "<!DOCTYPE html><meta charset=utf-8><title>A rare word</title>"
        f"<style>body{{font:13px sans-serif;width:560px}}{style}"
        ".grid{stroke:#ddd}.axis{stroke:#777}text{font-size:11px}</style>"
        f"<p>Distance of word vectors from where they began: {keys}</p>{chart}",
        "utf-8",
    )


def gelu() -> list[tuple[str, str, str, str]]:
    """Returns where the tanh approximation differs most from the erf."""
    from modeling.activations import get_activation

    x = np.linspace(-6, 6, 120_001).astype(np.float32)
    erf, tanh = (
        np.asarray(_called(get_activation(name), x), np.float64)
        for name in ("gelu_erf", "gelu")
    )
    places = [int(np.abs(erf - tanh).argmax()), 70_000, 80_000]
    return [
        (
            f"{x[place]:.3f}",
            f"{erf[place]:.6f}",
            f"{tanh[place]:.6f}",
            f"{tanh[place] - erf[place]:+.6f}",
        )
        for place in places
    ]


def _called(function: Callable[..., Any] | None, x: np.ndarray) -> Any:
    assert function is not None
    return function(x)


def gradient_norms() -> list[tuple[str, str]]:
    """Returns the gradient norm of layers of an encoder that is not trained."""
    import keras
    import tensorflow as tf

    from modeling import BertConfig, BertModel

    keras.utils.set_random_seed(0)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=128,
        num_hidden_layers=12,
        num_attention_heads=2,
        intermediate_size=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 1000, (8, 64))
    targets = rng.normal(size=(8, 64, 128)).astype(np.float32)
    with tf.GradientTape() as tape:
        output = model({"input_ids": ids})["sequence_output"]
        loss = tf.reduce_mean(tf.square(output - targets))
    gradients = tape.gradient(loss, model.trainable_variables)
    rows = []
    for layer in (0, 3, 7, 11):
        squares = [
            float(tf.reduce_sum(tf.square(one)))
            for one, weight in zip(
                gradients, model.trainable_variables, strict=True
            )
            if f"/layer_{layer}/" in weight.path and one is not None
        ]
        rows.append((str(layer + 1), f"{np.sqrt(sum(squares)):.4f}"))
    return rows


def first_steps() -> list[tuple[str, str, str]]:
    """Returns the mean update of gradients of one size, in learning rates."""
    import keras

    from bert_keras3.optimization import AdamWeightDecay

    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(1000, 512)).astype(np.float32)
    sizes = []
    for corrected in (False, True):
        weight = keras.Variable(np.zeros(512, np.float32), name="kernel")
        optimizer = AdamWeightDecay(
            1e-3, clip_norm=None, bias_correction=corrected
        )
        optimizer.build([weight])
        of_steps, before = [], np.zeros(512)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
            after = weight.numpy().copy()
            of_steps.append(float(np.abs(after - before).mean() / 1e-3))
            before = after
        sizes.append(of_steps)
    return [
        (str(step), f"{sizes[0][step - 1]:.2f}", f"{sizes[1][step - 1]:.2f}")
        for step in (1, 10, 100, 1000)
    ]


if __name__ == "__main__":
    set_up_environment()
    load_tensorflow()
    main(*sys.argv[1:])
