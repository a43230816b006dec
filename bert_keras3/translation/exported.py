"""Exports a translator with its tokenizer and search as a SavedModel.

strings ─ tokenization.in_graph ─▶ ids ─ search ─▶ ids ─ Detokenizer ─▶ strings
"""

from __future__ import annotations

import os

import tensorflow as tf

from bert_keras3.safekeeping.files import atomic_folder
from bert_keras3.translation.translator import Translator
from tokenization.in_graph import GraphTokenizer


def export(translator: Translator, folder: str | os.PathLike[str]) -> None:
    """Writes a SavedModel.

    Its signature `serving_default` takes `text`, string [N], and returns
    `translation`, string [N], and `score`, float32 [N]: the log probability,
    divided by the length penalty. It is loaded after `import tensorflow_text`.

    Args:
        translator: what is exported, with its search.
        folder: does not exist yet.

    Raises:
        FileExistsError: it does.
    """
    tokenizer = GraphTokenizer.from_vocab(
        translator.source.vocab, translator.source.do_lower_case
    )
    root = tf.Module()
    # The bare variables: Keras is not needed to load it.
    root.weights = [weight.value for weight in translator.model.weights]
    root.tokenizer = tokenizer

    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        packed = tokenizer.pack(
            tokenizer(tf.ensure_shape(text, [None])),
            max_seq_length=translator.settings.max_seq_length,
        )
        found = translator.translated(
            {name: packed[name] for name in ("input_ids", "input_mask")}
        )
        # A text without any token has no translation.
        is_blank = tf.reduce_sum(packed["input_mask"], axis=1) <= 2
        found["translation"] = tf.where(is_blank, "", found["translation"])
        return found

    graph = tf.function(answer, autograph=False)
    with atomic_folder(folder) as temporary:
        tf.saved_model.save(
            root,
            os.fspath(temporary),
            signatures=graph.get_concrete_function(
                text=tf.TensorSpec([None], tf.string, "text")
            ),
        )
