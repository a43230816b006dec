"""One process of a training on several devices, for `test_devices`.

    python run_worker.py DISTRIBUTION DEVICES FOLDER OPTION=VALUE…

Trains a model of a table and a layer for eight steps and writes what came
out to FOLDER: the losses, one a line, and the weights. Random numbers, if
wanted, and the order of examples follow from the step.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from bert_keras3.optimization import create_optimizer  # noqa: E402
from bert_keras3.safekeeping.errors import UserError  # noqa: E402
from bert_keras3.training.devices import (  # noqa: E402
    Devices,
    devices_of,
    make_deterministic,
)
from bert_keras3.training.fit import FitSettings, Training, fit  # noqa: E402
from bert_keras3.training.step import StepSettings  # noqa: E402
from modeling.embeddings import EmbeddingLookup  # noqa: E402

WORDS = 6
STEPS = 8


class Guesser(keras.Model):
    """Guesses a word from the mean of others, by a table and a layer."""

    def __init__(self, dropout):
        super().__init__()
        self.table = EmbeddingLookup(WORDS, 4, 1.0, name="table")
        self.dense = keras.layers.Dense(WORDS, name="dense")
        self.dropout = keras.layers.Dropout(dropout)
        self.table.build()
        self.dense.build((None, 4))
        self.dropout.build((None, 4))
        self.built = True

    def call(self, features, training=None):
        words = keras.ops.mean(self.table(features["ids"]), axis=1)
        return self.dense(self.dropout(words, training=training))


def loss(model, features, training):
    logits = model(features, training=training)
    return keras.ops.mean(
        keras.losses.sparse_categorical_crossentropy(
            features["word"], logits, from_logits=True
        )
    )


def batches(step):
    """Twelve examples of three words: the words repeat, so slices do, too."""
    while True:
        rng = np.random.default_rng(step)
        yield {
            "ids": rng.integers(0, WORDS, (12, 3)).astype(np.int32),
            "word": rng.integers(0, WORDS, 12).astype(np.int32),
        }
        step += 1


class Losses(keras.callbacks.Callback):
    """Keeps the losses; may be slow, so that there is time to be killed."""

    def __init__(self, path, seconds):
        super().__init__()
        self.path, self.seconds = path, seconds

    def on_train_batch_end(self, batch, logs=None):
        with self.path.open("a") as file:
            file.write(f"{batch} {float(logs['loss'])!r}\n")
        time.sleep(self.seconds)


def train(devices: Devices, folder: pathlib.Path, options) -> None:
    make_deterministic(1)
    with devices.scope():
        model = Guesser(float(options.get("dropout", 0)))
        optimizer = create_optimizer(
            0.1, STEPS, 2, name=options.get("optimizer", "adam_weight_decay")
        )
    evaluations = iter([0.5, 0.75, 0.25, 0.25])

    def evaluate():
        assert devices.is_chief
        return {"accuracy": next(evaluations)}

    def save_weights():
        assert devices.is_chief
        np.savez(folder / "weights.npz", *(w.numpy() for w in model.weights))

    result = fit(
        Training(
            model,
            loss,
            optimizer,
            batches,
            {"seed": options.get("seed")},
            save_weights,
            evaluate if "evaluate" in options else None,
        ),
        FitSettings(
            STEPS,
            eval_steps=2 if "evaluate" in options else None,
            save_steps=3,
            step=StepSettings(int(options.get("parts", 1))),
            best_metric="accuracy",
        ),
        folder / "state.safetensors",
        callbacks=[
            Losses(folder / "losses.txt", float(options.get("seconds", 0)))
        ],
        devices=devices,
    )
    print(json.dumps([result.step, result.resumed_from, result.best_step]))


def main(distribution, count, folder, *options):
    if distribution == "mirrored":
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * int(count),
        )
    try:
        with devices_of(distribution) as devices:
            print(devices.description)
            train(
                devices,
                pathlib.Path(folder),
                dict(option.split("=") for option in options),
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(*sys.argv[1:])
