"""Runs the original on the inputs kept here and compares its answers.

    python tests/reference/run_original.py BERT [ALBERT [ALBERT_ZH]]

The arguments are clones of google-research/bert, google-research/albert and
brightmart/albert_zh on GitHub, whose modules are imported as they are. The
script needs TensorFlow 2, NumPy and `six`, and nothing of this project;
README.md says what the files are.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import pathlib
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from stand_ins import MODES, load_original, tf  # type: ignore[import-not-found]

HERE = pathlib.Path(__file__).resolve().parent
SMALL = HERE / "small_bert"
ANSWER_FILES = ("predictions", "nbest_predictions", "null_odds")

Arrays = Mapping[str, np.ndarray]


class Report:
    """Prints differences, and remembers whether one was too large."""

    def __init__(self):
        self.failed = False

    def add(self, what: str, difference: float, tolerance: float) -> None:
        verdict = "" if difference <= tolerance else "  TOO LARGE"
        self.failed |= bool(verdict)
        print(f"{what}: {difference:.1e} (at most {tolerance:.0e}){verdict}")


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def unpacked(path: pathlib.Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def difference(found: Arrays, kept: Arrays) -> float:
    """The largest difference of any value."""
    return max(
        float(np.abs(np.asarray(found[name]) - kept[name]).max())
        for name in kept
    )


def below(arrays: Arrays, prefix: str) -> dict[str, np.ndarray]:
    """Those under `prefix/`, without it."""
    start = len(prefix) + 1
    return {
        name[start:]: array
        for name, array in arrays.items()
        if name.startswith(f"{prefix}/")
    }


def started(session, kept: Arrays) -> None:
    """Gives variables their values at the start.

    They are those of the checkpoint or, in `kept`, `initial/VARIABLE`.
    """
    session.run(tf.global_variables_initializer())
    reader = tf.train.load_checkpoint(str(SMALL / "bert_model.ckpt"))
    for variable in tf.global_variables():
        name = variable.op.name
        if reader.has_tensor(name):
            variable.load(reader.get_tensor(name), session)
        elif f"initial/{name}" in kept:
            variable.load(kept[f"initial/{name}"], session)


def pretraining_outputs(original, config, model, given):
    """Losses and log-probabilities of both heads, by their names here."""
    masked_lm = original.run_pretraining.get_masked_lm_output(
        config,
        model.get_sequence_output(),
        model.get_embedding_table(),
        tf.constant(given["masked_lm_positions"]),
        tf.constant(given["masked_lm_ids"]),
        tf.constant(given["masked_lm_weights"]),
    )
    pairs = original.run_pretraining.get_next_sentence_output(
        config,
        model.get_pooled_output(),
        tf.constant(given["next_sentence_labels"]),
    )
    kinds = ("loss", "example_loss", "log_probs")
    return {
        **{
            f"masked_lm_{kind}": out
            for kind, out in zip(kinds, masked_lm, strict=True)
        },
        **{
            f"next_sentence_{kind}": out
            for kind, out in zip(kinds, pairs, strict=True)
        },
        "total_loss": masked_lm[0] + pairs[0],
    }


def small_config(original, activation="gelu"):
    config = original.modeling.BertConfig.from_json_file(
        str(SMALL / "bert_config.json")
    )
    config.hidden_act = activation
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return config


def encoder(original, config, given, is_training):
    inputs = {
        argument: tf.constant(given[name]) if name in given else None
        for argument, name in (
            ("input_ids", "input_ids"),
            ("input_mask", "input_mask"),
            ("token_type_ids", "segment_ids"),
        )
    }
    return original.modeling.BertModel(config, is_training, **inputs)


def run_forward(original, report: Report) -> None:
    for activation in ("gelu", "relu"):
        file = f"forward_{activation}.npz"
        arrays = read(SMALL / file)
        for case in dict.fromkeys(name.split("/")[0] for name in arrays):
            given = below(arrays, case)
            with tf.Graph().as_default(), tf.Session() as session:
                config = small_config(original, activation)
                model = encoder(original, config, given, False)
                outputs = {
                    "embedding_output": model.get_embedding_output(),
                    "pooled_output": model.get_pooled_output(),
                    **{
                        f"layer_{number}": layer
                        for number, layer in enumerate(
                            model.get_all_encoder_layers()
                        )
                    },
                    **pretraining_outputs(original, config, model, given),
                }
                started(session, given)
                found = session.run(outputs)
            for name in found:
                if name == "embedding_output" or name.startswith("layer_"):
                    found[name] = found[name][:, given["positions"]]
            kept = {name: given[name] for name in found if name in given}
            padding = given.get("input_mask", np.ones((1, 1))).sum(-1) == 0
            tolerance = 1e-2 if padding.any() else 1e-5
            report.add(f"{file} {case}", difference(found, kept), tolerance)


def recorded_rate(original):
    """Keeps the learning rates of the optimizers that will be made."""
    rates = []
    optimizer = original.optimization.AdamWeightDecayOptimizer
    plain = optimizer.__init__

    def init(self, learning_rate, **choices):
        rates.append(learning_rate)
        plain(self, learning_rate, **choices)

    optimizer.__init__ = init
    return rates


def training_of(original, kind: str, kept: Arrays):
    """Builds a loss and the step of its training, as the original does."""
    config = small_config(original)
    rate, num_steps, num_warmup_steps = kept["hyper"]
    if kind == "span":
        model_fn = original.run_squad.model_fn_builder(
            config,
            None,
            rate,
            int(num_steps),
            int(num_warmup_steps),
            use_tpu=False,
            use_one_hot_embeddings=False,
        )
        names = (
            *("input_ids", "input_mask", "segment_ids"),
            *("start_positions", "end_positions"),
        )
        features = {name: tf.constant(kept[name]) for name in names}
        features["unique_ids"] = tf.range(len(kept["input_ids"]))
        spec = model_fn(features, None, MODES.TRAIN, {})
        return spec.loss, spec.train_op
    if kind == "pretraining":
        model = encoder(original, config, kept, True)
        loss = pretraining_outputs(original, config, model, kept)["total_loss"]
    else:
        loss, *_ = original.run_classifier.create_model(
            config,
            False,  # or it would drop out some of the pooled vector
            tf.constant(kept["input_ids"]),
            tf.constant(kept["input_mask"]),
            tf.constant(kept["segment_ids"]),
            tf.constant(kept["labels"]),
            3,
            False,
        )
    return loss, original.optimization.create_optimizer(
        loss, rate, int(num_steps), int(num_warmup_steps), False
    )


def train(original, kind: str, kept: Arrays, rates: Sequence[Any]):
    """Trains; returns the curves and the final variables by name."""
    num_steps = int(kept["hyper"][1])
    with tf.Graph().as_default(), tf.Session() as session:
        loss, step = training_of(original, kind, kept)
        norm = tf.global_norm(tf.gradients(loss, tf.trainable_variables()))
        started(session, kept)
        curves = []
        for number in range(num_steps + 1):
            curves.append(session.run([loss, rates[-1], norm]))
            if number < num_steps:
                # The original reads the step and adds to it in any
                # order; here the learning rate is read first.
                session.run(step, {rates[-1]: curves[-1][1]})
        finals = session.run({v.op.name: v for v in tf.global_variables()})
    names = ("loss", "lr", "global_norm")
    return dict(zip(names, np.transpose(curves), strict=True)), finals


def run_twenty_steps(original, report: Report) -> None:
    rates = recorded_rate(original)
    for kind in ("classification", "pretraining", "span"):
        file = f"twenty_steps_{kind}.npz"
        kept = read(SMALL / file)
        curves, finals = train(original, kind, kept, rates)
        report.add(
            f"{file} curves",
            difference(curves, {name: kept[name] for name in curves}),
            1e-5,
        )
        kept = below(kept, "final")
        found = {
            name: finals[name]
            if finals[name].shape == array.shape
            else finals[name][::7]
            for name, array in kept.items()
        }
        report.add(f"{file} variables", difference(found, kept), 5e-6)


def span_logits(original, given: Arrays) -> dict[str, np.ndarray]:
    """Logits before the first step."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = original.run_squad.create_model(
            small_config(original),
            False,
            tf.constant(given["input_ids"]),
            tf.constant(given["input_mask"]),
            tf.constant(given["segment_ids"]),
            False,
        )
        started(session, given)
        names = ("start_logits", "end_logits")
        return dict(zip(names, session.run(logits), strict=True))


def run_span_logits(original, report: Report) -> None:
    file = "twenty_steps_span.npz"
    kept = read(SMALL / file)
    found = span_logits(original, kept)
    kept = {name: kept[name] for name in found}
    report.add(f"{file} logits", difference(found, kept), 1e-5)


def write_span_model(folder: str) -> str:
    """Writes the small model with the head that it is kept with."""
    arrays = below(read(SMALL / "twenty_steps_span.npz"), "initial")
    reader = tf.train.load_checkpoint(str(SMALL / "bert_model.ckpt"))
    for name in reader.get_variable_to_shape_map():
        if name.startswith("bert/"):
            arrays[name] = reader.get_tensor(name)
    path = f"{folder}/bert_model.ckpt"
    with tf.Graph().as_default(), tf.Session() as session:
        for name, array in arrays.items():
            tf.get_variable(name, initializer=array)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, path, write_meta_graph=False)
    return path


def answer(original, run: Mapping[str, Any], vocabulary: Sequence[str]):
    """Runs the whole of the original's script: {name of a file: content}."""
    with tempfile.TemporaryDirectory() as out:
        folder = pathlib.Path(out)
        vocab_file = folder / "vocab.txt"
        vocab_file.write_text(
            "".join(f"{token}\n" for token in vocabulary), "utf-8"
        )
        predict_file = folder / "questions.json"
        predict_file.write_text(json.dumps(run["file"]), "utf-8")
        flags = {
            **run["settings"],
            "bert_config_file": str(SMALL / "bert_config.json"),
            "vocab_file": str(vocab_file),
            "init_checkpoint": write_span_model(out),
            "output_dir": out,
            "predict_file": str(predict_file),
            "do_train": False,
            "do_predict": True,
        }
        for name, value in flags.items():
            setattr(original.flags, name, value)
        original.run_squad.main(None)
        return {
            name: json.loads((folder / f"{name}.json").read_text("utf-8"))
            for name in ANSWER_FILES
            if (folder / f"{name}.json").exists()
        }


def run_questions(original, report: Report) -> None:
    file = HERE / "squad" / "end_to_end.json.gz"
    content = unpacked(file)
    for name, run in content["runs"].items():
        found = answer(original, run, content["vocabulary"])
        kept = run["answers"]
        (texts, numbers), (kept_texts, kept_numbers) = (
            texts_and_numbers(files) for files in (found, kept)
        )
        report.add(f"{file.name} {name}, texts", texts != kept_texts, 0)
        report.add(
            f"{file.name} {name}, numbers",
            difference({name: numbers}, {name: kept_numbers}),
            1e-5,
        )


def token_vectors(original, content: Mapping[str, Any]) -> list[Any]:
    """Runs the whole of the original's script: the lines that it writes."""
    with tempfile.TemporaryDirectory() as out:
        folder = pathlib.Path(out)
        (folder / "vocab.txt").write_text(
            "".join(f"{token}\n" for token in content["vocabulary"]), "utf-8"
        )
        (folder / "input.txt").write_text(content["input"], "utf-8")
        flags = {
            **content["settings"],
            "bert_config_file": str(SMALL / "bert_config.json"),
            "vocab_file": str(folder / "vocab.txt"),
            "init_checkpoint": str(SMALL / "bert_model.ckpt"),
            "input_file": str(folder / "input.txt"),
            "output_file": str(folder / "output.jsonl"),
        }
        for name, value in flags.items():
            setattr(original.flags, name, value)
        original.extract_features.main(None)
        lines = (folder / "output.jsonl").read_text("utf-8").splitlines()
        return list(map(json.loads, lines))


def run_token_vectors(original, report: Report) -> None:
    file = HERE / "extract_features.json.gz"
    content = unpacked(file)
    found = token_vectors(original, content)
    (texts, numbers), (kept_texts, kept_numbers) = map(
        texts_and_numbers, (found, content["output"])
    )
    report.add(f"{file.name}, texts", texts != kept_texts, 0)
    report.add(
        f"{file.name}, numbers",
        difference({"": numbers}, {"": kept_numbers}),
        1e-5,
    )


def leaves(value: Any) -> Iterator[str | float]:
    """Yields what is in a JSON value, keys too, in its order."""
    if isinstance(value, (str, float, int)):
        yield value
        return
    if isinstance(value, dict):
        value = (part for item in value.items() for part in item)
    for part in value:
        yield from leaves(part)


def texts_and_numbers(value: Any) -> tuple[list[str], np.ndarray]:
    found = list(leaves(value))
    texts = [leaf for leaf in found if isinstance(leaf, str)]
    numbers = [leaf for leaf in found if not isinstance(leaf, str)]
    return texts, np.array(numbers)


def write_vocabulary(abridged: Mapping[str, Any], folder: str) -> str:
    """Every token that was left out is one that no text has."""
    tokens = [f"[unused {n}]" for n in range(abridged["size"])]
    for token, number in abridged["entries"].items():
        tokens[number] = token
    path = pathlib.Path(folder, "vocab.txt")
    path.write_text("".join(f"{token}\n" for token in tokens), "utf-8")
    return str(path)


def records(path: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for record in tf.io.tf_record_iterator(path):
        features = tf.train.Example.FromString(record).features.feature
        for name in names:
            feature = features[name]
            rows[name].append(
                list(feature.int64_list.value or feature.float_list.value)
            )
    return {name: np.array(values) for name, values in rows.items()}


def run_pretraining_data(original, report: Report) -> None:
    data = original.create_pretraining_data
    folder = HERE / "pretraining_data"
    abridged = unpacked(folder / "vocabulary.json.gz")
    for name in ("token", "whole_word"):
        original.flags.do_whole_word_mask = name == "whole_word"
        kept = read(folder / f"{name}.npz")
        with tempfile.TemporaryDirectory() as out:
            tokenizer = original.tokenization.FullTokenizer(
                write_vocabulary(abridged, out)
            )
            instances = data.create_training_instances(
                [str(folder / "sample_text.txt")],
                tokenizer,
                max_seq_length=128,
                dupe_factor=5,
                short_seq_prob=0.1,
                masked_lm_prob=0.15,
                max_predictions_per_seq=20,
                rng=random.Random(12345),
            )
            path = f"{out}/records"
            data.write_instance_to_example_files(
                instances, tokenizer, 128, 20, [path]
            )
            found = records(path, list(kept))
        report.add(f"{name}.npz", difference(found, kept), 0)


def run_tokenization(original, report: Report) -> None:
    folder = HERE / "tokenization"
    full = original.tokenization.FullTokenizer
    differing = 0
    for row in unpacked(folder / "original.json.gz"):
        for key, do_lower_case in (("lower", True), ("cased", False)):
            tokenizer = full(str(folder / "vocab.txt"), do_lower_case)
            tokens = tokenizer.tokenize(row["text"])
            differing += row[key] != {
                "words": tokenizer.basic_tokenizer.tokenize(row["text"]),
                "tokens": tokens,
                "ids": tokenizer.convert_tokens_to_ids(tokens),
            }
    report.add("original.json.gz, texts that differ", differing, 0)
    file = folder / "published_vocabularies.json.gz"
    content = unpacked(file)
    differing = 0
    for row in content["answers"]:
        abridged = content["vocabularies"][row["vocabulary"]]
        with tempfile.TemporaryDirectory() as out:
            path = write_vocabulary(abridged, out)
            tokenizer = full(path, row["do_lower_case"])
        for text, ids in zip(content["texts"], row["ids"], strict=True):
            tokens = tokenizer.tokenize(text)
            differing += ids != tokenizer.convert_tokens_to_ids(tokens)
    report.add(f"{file.name}, texts that differ", differing, 0)


def run_albert(original, report: Report) -> None:
    modeling, heads = original.modeling, original.run_pretraining
    for path in sorted((HERE / "albert").glob("*.npz")):
        arrays = read(path)
        given, weights = below(arrays, "input"), below(arrays, "weight")
        config = modeling.AlbertConfig.from_dict(
            json.loads(str(arrays["config"]))
        )
        with tf.Graph().as_default(), tf.Session() as session:
            model = modeling.AlbertModel(
                config,
                False,
                tf.constant(given["input_ids"]),
                tf.constant(given["input_mask"]),
                tf.constant(given["segment_ids"]),
            )
            masked_lm = heads.get_masked_lm_output(
                config,
                model.get_sequence_output(),
                model.get_embedding_table(),
                tf.constant(given["masked_lm_positions"]),
                tf.constant(given["masked_lm_ids"]),
                tf.constant(given["masked_lm_weights"]),
            )
            order = heads.get_sentence_order_output(
                config,
                model.get_pooled_output(),
                tf.constant(given["sentence_order_labels"]),
            )
            outputs = {
                "embedding_output": model.get_embedding_output(),
                "pooled_output": model.get_pooled_output(),
                "masked_lm_loss": masked_lm[0],
                "masked_lm_log_probs": masked_lm[2],
                "sentence_order_loss": order[0],
                "sentence_order_log_probs": order[2],
            }
            for number, layer in enumerate(model.get_all_encoder_layers()):
                outputs[f"layer_{number}"] = layer
            variables = tf.trainable_variables()
            gradients = tf.gradients(masked_lm[0] + order[0], variables)
            for variable in variables:
                variable.load(weights[variable.op.name], session)
            found, slopes = session.run(
                [outputs, [tf.convert_to_tensor(one) for one in gradients]]
            )
        names = [variable.op.name for variable in variables]
        report.add(
            f"albert/{path.name} outputs",
            difference(found, below(arrays, "output")),
            1e-5,
        )
        report.add(
            f"albert/{path.name} gradients",
            difference(
                dict(zip(names, slopes, strict=True)),
                below(arrays, "gradient"),
            ),
            1e-5,
        )


def run_early_albert(original, report: Report) -> None:
    modeling, heads = original.modeling, original.run_pretraining
    arrays = read(HERE / "checkpointing" / "early_albert.npz")
    given, weights = below(arrays, "input"), below(arrays, "weight")
    config = modeling.BertConfig.from_dict(json.loads(str(arrays["config"])))
    positions = given["masked_lm_positions"]
    with tf.Graph().as_default(), tf.Session() as session:
        with contextlib.redirect_stdout(sys.stderr):
            model = modeling.BertModel(
                config,
                False,
                tf.constant(given["input_ids"]),
                tf.constant(given["input_mask"]),
                tf.constant(given["segment_ids"]),
            )
        *_, masked_lm = heads.get_masked_lm_output(
            config,
            model.get_sequence_output(),
            model.get_embedding_table(),
            model.get_embedding_table_2(),
            tf.constant(positions),
            tf.zeros_like(positions),
            tf.ones(positions.shape),
        )
        *_, order = heads.get_next_sentence_output(
            config,
            model.get_pooled_output(),
            tf.zeros([len(positions)], tf.int32),
        )
        for variable in tf.trainable_variables():
            variable.load(weights[variable.op.name], session)
        found = session.run(
            {
                "sequence_output": model.get_sequence_output(),
                "pooled_output": model.get_pooled_output(),
                "masked_lm_log_probs": masked_lm,
                "sentence_order_log_probs": order,
            }
        )
    report.add(
        "early_albert.npz", difference(found, below(arrays, "output")), 1e-5
    )


def main(bert: str, albert: str = "", albert_zh: str = "") -> int:
    """Returns 1 if an answer is too far from the one that is kept."""
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    report = Report()
    original = load_original(
        bert,
        *("modeling", "optimization", "tokenization", "run_classifier"),
        *("run_pretraining", "create_pretraining_data", "run_squad"),
    )
    run_tokenization(original, report)
    run_pretraining_data(original, report)
    run_forward(original, report)
    run_twenty_steps(original, report)
    run_span_logits(original, report)
    run_questions(original, report)
    run_token_vectors(
        load_original(bert, "modeling", "tokenization", "extract_features"),
        report,
    )
    if albert:
        original = load_original(
            albert, "albert.modeling", "albert.run_pretraining"
        )
        run_albert(original, report)
    if albert_zh:
        original = load_original(albert_zh, "modeling", "run_pretraining")
        run_early_albert(original, report)
    return int(report.failed)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
