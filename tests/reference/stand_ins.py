"""What TensorFlow 2 lacks of what the originals ask for, and their import.

Each stand-in has as much of its model as the originals use.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import tensorflow

tf = tensorflow.compat.v1


def dense(inputs, units, activation=None, kernel_initializer=None, name=None):
    """What the original uses of `tf.layers.dense`."""
    with tf.variable_scope(name, default_name="dense"):
        kernel = tf.get_variable(
            "kernel",
            [inputs.shape[-1], units],
            initializer=kernel_initializer,
        )
        bias = tf.get_variable(
            "bias", [units], initializer=tf.zeros_initializer()
        )
        outputs = tf.matmul(inputs, kernel) + bias
    return activation(outputs) if activation else outputs


def layer_norm(inputs, begin_norm_axis, begin_params_axis, scope):
    """What the original uses of `tf.contrib.layers.layer_norm`."""
    assert begin_norm_axis == begin_params_axis == -1
    size = [inputs.shape[-1]]
    with tf.variable_scope(scope, default_name="LayerNorm"):
        beta = tf.get_variable("beta", size, initializer=tf.zeros_initializer())
        gamma = tf.get_variable(
            "gamma", size, initializer=tf.ones_initializer()
        )
    mean, variance = tf.nn.moments(inputs, [-1], keep_dims=True)
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


class Flags(types.SimpleNamespace):
    """Flags that are their defaults until they are set."""

    def __init__(self):
        super().__init__(FLAGS=types.SimpleNamespace())
        for kind in ("string", "integer", "float", "bool", "enum"):
            setattr(self, f"DEFINE_{kind}", self.define)

    def define(self, name, default, *_):
        setattr(self.FLAGS, name, default)


class Estimator:
    """What the original uses of `TPUEstimator` to predict."""

    def __init__(self, model_fn, predict_batch_size, **_):
        self._model_fn = model_fn
        self._batch_size = predict_batch_size

    def predict(
        self, input_fn, yield_single_examples
    ) -> Iterator[dict[str, Any]]:
        """Yields the outputs of one row after the other."""
        assert yield_single_examples
        with tf.Graph().as_default(), tf.Session() as session:
            batches = input_fn({"batch_size": self._batch_size})
            features = tf.data.make_one_shot_iterator(batches).get_next()
            spec = self._model_fn(features, None, MODES.PREDICT, {})
            session.run(tf.global_variables_initializer())
            while True:
                try:
                    batch = session.run(spec.predictions)
                except tf.errors.OutOfRangeError:
                    return
                for row in zip(*batch.values(), strict=True):
                    yield dict(zip(batch, row, strict=True))


MODES = types.SimpleNamespace(TRAIN="train", PREDICT="infer")
TPU = types.SimpleNamespace(
    InputPipelineConfig=types.SimpleNamespace(PER_HOST_V2=None),
    RunConfig=types.SimpleNamespace,
    TPUConfig=types.SimpleNamespace,
    TPUEstimator=Estimator,
    TPUEstimatorSpec=types.SimpleNamespace,
)
# The originals set the verbosity themselves.
SILENCE = types.SimpleNamespace(
    INFO=None,
    set_verbosity=lambda _: None,
    info=lambda *_: None,
    warning=lambda *_: None,
)


def load_original(clone: str, *names: str) -> types.SimpleNamespace:
    """Imports modules of a clone, and says where their flags are."""
    stand_in: Any = types.ModuleType("tensorflow")
    stand_in.__getattr__ = lambda name: getattr(tf, name)
    stand_in.layers = types.SimpleNamespace(dense=dense)
    stand_in.flags = Flags()
    stand_in.compat = types.SimpleNamespace(v1=stand_in)
    stand_in.logging = SILENCE
    stand_in.contrib = types.SimpleNamespace(
        cluster_resolver=None,
        data=types.SimpleNamespace(
            map_and_batch=tf.data.experimental.map_and_batch
        ),
        layers=types.SimpleNamespace(layer_norm=layer_norm),
        tpu=TPU,
    )
    stand_in.estimator = types.SimpleNamespace(ModeKeys=MODES)
    package: Any = types.ModuleType("albert")
    package.__path__ = [clone]
    replaced = {
        "tensorflow": stand_in,
        "tensorflow.compat.v1": stand_in,
        "tensorflow.contrib": stand_in.contrib,
        "albert": package,
    }
    before = dict(sys.modules)
    sys.modules.update(replaced)
    sys.path.insert(0, clone)
    try:
        modules = {
            name.removeprefix("albert."): importlib.import_module(name)
            for name in names
        }
    finally:
        sys.path.remove(clone)
        # The next clone has modules of the same names.
        for name in set(sys.modules) - set(before):
            file = getattr(sys.modules[name], "__file__", None)
            if name in replaced or (file or "").startswith(clone):
                del sys.modules[name]
        sys.modules.update(
            {name: before[name] for name in replaced if name in before}
        )
    return types.SimpleNamespace(flags=stand_in.flags.FLAGS, **modules)
