"""Makes `model_garden.zip`: what the Model Garden itself writes and computes.

    pip install tf-models-official==2.20.0 tf_keras
    python tests/reference/checkpointing/make_model_garden.py

A folder for each way in which the library saves a BERT, with `expected.npz`:
token ids in, what the library computes of them out. Every weight is drawn at
random, biases, gammas and betas too, so that a forgotten one shows.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import tempfile
import zipfile

import numpy as np
import tensorflow as tf
import tf_keras
from official.legacy.bert import bert_models, configs
from official.modeling import tf_utils
from official.nlp.configs import encoders
from official.nlp.modeling import layers, models, networks
from official.nlp.tools import export_tfhub_lib

SIZES = {
    "vocab_size": 31,
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 4,
    "inner_dim": 12,
    "max_sequence_length": 20,
    "type_vocab_size": 2,
}
LENGTH = 7
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "The", "the", "##s")


def drawn(model, seed):
    """Draws every weight of a model."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype == tf.float32:
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
    return model


def inputs(seed):
    rng = np.random.default_rng(seed)
    mask = np.ones((3, LENGTH), np.int32)
    mask[1, 4:] = 0
    types = (np.arange(LENGTH) > 3) * mask
    ids = rng.integers(0, SIZES["vocab_size"], mask.shape) * mask
    return {
        "input_word_ids": ids.astype(np.int32),
        "input_mask": mask,
        "input_type_ids": types.astype(np.int32),
    }


def keep(folder, given, outputs):
    """Writes what goes in and comes out, under this project's names."""
    ours = {
        "input_ids": given["input_word_ids"],
        "input_mask": given["input_mask"],
        "segment_ids": given["input_type_ids"],
    }
    np.savez_compressed(
        folder / "expected.npz",
        **ours,
        **{name: np.asarray(value) for name, value in outputs.items()},
    )


def of_encoder(encoder, given):
    found = encoder(given)
    if isinstance(found, dict):
        return {
            "sequence_output": found["sequence_output"],
            "pooled_output": found["pooled_output"],
        }
    return dict(zip(("sequence_output", "pooled_output"), found, strict=True))


def vocabulary(file):
    words = (*WORDS, *(f"w{n}" for n in range(len(WORDS), 31)))
    file.write_text("".join(f"{word}\n" for word in words), "utf-8")
    return file


def encoder(folder):
    """BertEncoder by tf.train.Checkpoint(encoder=…), with ReLU."""
    model = drawn(networks.BertEncoder(**SIZES, inner_activation="relu"), 1)
    tf.train.Checkpoint(encoder=model).save(str(folder / "bert_model.ckpt"))
    fields = {
        "vocab_size": 31,
        "hidden_size": 16,
        "num_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 12,
        "max_position_embeddings": 20,
        "hidden_activation": "relu",
    }
    (folder / "params.json").write_text(
        json.dumps(
            {"task": {"model": {"encoder": {"type": "bert", "bert": fields}}}}
        )
    )
    vocabulary(folder / "vocab.txt")
    keep(folder, inputs(1), of_encoder(model, inputs(1)))


def encoder_v2(folder):
    """BertEncoderV2 by tf.train.Checkpoint(model=…), with narrow tables."""
    model = networks.BertEncoderV2(**SIZES, embedding_width=8)
    model(inputs(2))
    drawn(model, 2)
    tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    keep(folder, inputs(2), of_encoder(model, inputs(2)))


def pretrainer(folder):
    """BertPretrainerV2 by its checkpoint_items, the optimizer's slots, twice.

    The pooler is that of the next-sentence head. The file `checkpoint` has
    paths of another machine.
    """
    model = models.BertPretrainerV2(
        networks.BertEncoderV2(**SIZES),
        mlm_activation=tf_utils.get_activation("gelu"),
        classification_heads=[
            layers.ClassificationHead(16, 2, name="next_sentence")
        ],
    )
    given = inputs(3)
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (3, 1))
    given_to_all = {**given, "masked_lm_positions": positions}
    model(given_to_all)
    optimizer = tf_keras.optimizers.legacy.Adam(1e-3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(given_to_all)["mlm_logits"] ** 2)
    weights = model.trainable_variables
    pairs = zip(tape.gradient(loss, weights), weights, strict=True)
    optimizer.apply_gradients([(g, w) for g, w in pairs if g is not None])
    saver = tf.train.Checkpoint(
        optimizer=optimizer,
        next_sentence=model.classification_heads[0],
        **model.checkpoint_items,
    )
    saver.save(str(folder / "ckpt"))
    drawn(model, 3)
    saver.save(str(folder / "ckpt"))
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "/home/someone/run/ckpt-2"\n'
        'all_model_checkpoint_paths: "/home/someone/run/ckpt-1"\n'
        'all_model_checkpoint_paths: "/home/someone/run/ckpt-2"\n'
    )
    found = model(given_to_all)
    pooled = model.classification_heads[0](
        found["sequence_output"], only_project=True
    )
    keep(
        folder,
        given,
        {
            "sequence_output": found["sequence_output"],
            "pooled_output": pooled,
            "masked_lm_logits": found["mlm_logits"],
            "next_sentence_logits": found["next_sentence"],
        },
    )


def old_pretrainer(folder):
    """BertPretrainer by tf.train.Checkpoint(model=…), a later optimizer."""
    network = networks.BertEncoder(**SIZES)
    model = models.BertPretrainer(
        network, 2, LENGTH, activation=tf_utils.get_activation("gelu")
    )
    optimizer = tf_keras.optimizers.AdamW(1e-3)
    optimizer.build(model.trainable_variables)
    model.optimizer = optimizer
    drawn(model, 4)
    tf.train.Checkpoint(model=model, optimizer=optimizer).write(
        str(folder / "bert_model.ckpt")
    )
    given = inputs(4)
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (3, 1))
    found = model(_in_order(given, positions))
    keep(
        folder,
        given,
        {
            **of_encoder(network, _in_order(given)),
            "masked_lm_logits": found["masked_lm"],
            "next_sentence_logits": found["classification"],
        },
    )


def _in_order(given, *more):
    names = ("input_word_ids", "input_mask", "input_type_ids")
    return [*(given[name] for name in names), *more]


def classifier(folder):
    """The classifier of official/legacy/bert by Keras' save_weights."""
    sizes = configs.BertConfig(
        31, 16, 2, 4, 12, max_position_embeddings=20, type_vocab_size=2
    )
    model, core = bert_models.classifier_model(sizes, 3, LENGTH)
    drawn(model, 5)
    model.save_weights(str(folder / "weights"), save_format="tf")
    (folder / "bert_config.json").write_text(sizes.to_json_string())
    given = inputs(5)
    # It computes the last layer for the first token alone.
    keep(
        folder,
        given,
        {
            "pooled_output": core(_in_order(given))[1],
            "logits": model(_in_order(given)),
        },
    )


def classifier_v2(folder):
    """BertClassifier with the head's own pooler, by save_weights."""
    network = networks.BertEncoderV2(**SIZES)
    model = models.BertClassifier(network, 3, use_encoder_pooler=False)
    drawn(model, 6)
    model.save_weights(str(folder / "weights"), save_format="tf")
    given = inputs(6)
    sequence = network(given)["sequence_output"]
    pooled = model.classifier(sequence, only_project=True)
    keep(
        folder,
        given,
        {
            "sequence_output": sequence,
            "pooled_output": pooled,
            "logits": model(given),
        },
    )


def tagger(folder):
    """BertTokenClassifier by tf.train.Checkpoint(model=…)."""
    network = networks.BertEncoder(**SIZES)
    model = drawn(models.BertTokenClassifier(network, 5), 7)
    tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    given = inputs(7)
    keep(
        folder,
        given,
        {
            **of_encoder(network, _in_order(given)),
            "logits": model(_in_order(given))["logits"],
        },
    )


def span(folder):
    """BertSpanLabeler by tf.train.Checkpoint(model=…)."""
    network = networks.BertEncoder(**SIZES)
    model = drawn(models.BertSpanLabeler(network), 8)
    tf.train.Checkpoint(model=model).save(str(folder / "ckpt"))
    given = inputs(8)
    start, end = model(_in_order(given))
    keep(
        folder,
        given,
        {
            **of_encoder(network, _in_order(given)),
            "start_logits": start,
            "end_logits": end,
        },
    )


def _hub(folder, seed, activation, kind):
    fields = encoders.BertEncoderConfig(
        vocab_size=31,
        hidden_size=16,
        num_layers=2,
        num_attention_heads=4,
        intermediate_size=12,
        max_position_embeddings=20,
        hidden_activation=activation,
    )
    config = encoders.EncoderConfig(type=kind, **{kind: fields})
    network = drawn(encoders.build_encoder(config), seed)
    model = models.BertPretrainerV2(
        network, mlm_activation=tf_utils.get_activation(activation)
    )
    given = inputs(seed)
    positions = np.tile(np.arange(LENGTH, dtype=np.int32), (3, 1))
    found = model({**given, "masked_lm_positions": positions})
    drawn(model, seed)
    found = model({**given, "masked_lm_positions": positions})
    with tempfile.TemporaryDirectory() as other:
        path = tf.train.Checkpoint(**model.checkpoint_items).save(
            f"{other}/ckpt"
        )
        export_tfhub_lib.export_model(
            str(folder),
            encoder_config=config,
            model_checkpoint_path=path,
            with_mlm=True,
            vocab_file=str(vocabulary(pathlib.Path(other, "cased_vocab.txt"))),
            do_lower_case=False,
        )
    keep(
        folder,
        given,
        {
            "sequence_output": found["sequence_output"],
            "pooled_output": found["pooled_output"],
            "masked_lm_logits": found["mlm_logits"],
        },
    )


def hub(folder):
    """A SavedModel as on TF Hub and Kaggle, from BertEncoder; ReLU, cased."""
    _hub(folder, 9, "relu", "bert")


def hub_v2(folder):
    """The same from BertEncoderV2, with GELU."""
    _hub(folder, 10, "gelu", "bert_v2")


def saved_erf(folder):
    """A SavedModel of a classifier of one's own, with the erf GELU."""
    network = networks.BertEncoderV2(
        **SIZES, inner_activation=tf_keras.activations.gelu
    )
    model = drawn(models.BertClassifier(network, 3), 11)
    model.compile(tf_keras.optimizers.Adam(1e-3), "mse")
    model.save(str(folder), save_format="tf")
    given = inputs(11)
    found = network(given)
    keep(
        folder,
        given,
        {
            "sequence_output": found["sequence_output"],
            "pooled_output": found["pooled_output"],
            "logits": model(given),
        },
    )


def preprocess(folder):
    """A SavedModel that makes ids of texts, and has no weights."""
    with tempfile.TemporaryDirectory() as other:
        file = vocabulary(pathlib.Path(other, "vocab.txt"))
        export_tfhub_lib.export_preprocessing(
            str(folder),
            vocab_file=str(file),
            do_lower_case=True,
            tokenize_with_offsets=False,
            default_seq_length=8,
        )


def albert(folder):
    """AlbertEncoder, whose layers share their weights."""
    sizes = dict(SIZES)
    sizes["intermediate_size"] = sizes.pop("inner_dim")
    model = drawn(networks.AlbertEncoder(**sizes, embedding_width=8), 12)
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
    given = inputs(12)
    keep(folder, given, of_encoder(model, _in_order(given)))


def mobile_bert(folder):
    """MobileBERTEncoder, another architecture."""
    model = networks.MobileBERTEncoder(
        word_vocab_size=31,
        word_embed_size=8,
        max_sequence_length=20,
        num_blocks=1,
        hidden_size=16,
        num_attention_heads=2,
        intermediate_size=12,
        intra_bottleneck_size=8,
    )
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))


MAKERS = (
    encoder,
    encoder_v2,
    pretrainer,
    old_pretrainer,
    classifier,
    classifier_v2,
    tagger,
    span,
    hub,
    hub_v2,
    saved_erf,
    preprocess,
    albert,
    mobile_bert,
)


def main():
    target = pathlib.Path(__file__).with_name("model_garden.zip")
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        for make in MAKERS:
            folder = root / make.__name__
            folder.mkdir()
            make(folder)
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
            for file in sorted(root.rglob("*")):
                # The same bytes give the same archive.
                name = str(file.relative_to(root))
                if file.is_file() and file.name != "fingerprint.pb":
                    info = zipfile.ZipInfo(name)
                    info.compress_type = zipfile.ZIP_LZMA
                    archive.writestr(info, file.read_bytes())


if __name__ == "__main__":
    main()
