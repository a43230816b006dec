r"""Converts a BERT or ALBERT checkpoint to another format, or describes it.

    python convert_checkpoint.py --input=uncased_L-12_H-768_A-12 \
        --output=converted --format=huggingface --verify
    python convert_checkpoint.py --inspect=uncased_L-12_H-768_A-12

The checkpoint is a file, a folder or, as here, the name of a model that Google
published, which is downloaded if there is no such folder.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bert_keras3.checkpointing.architectures import (
    ARCHITECTURES,
    FINE_TUNED,
    TASKS,
)
from bert_keras3.commands import entry, flags
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.environment import (
    keep_tensorflow_out,
    load_tensorflow,
)

if TYPE_CHECKING:
    from bert_keras3.checkpointing.conversion import Outcome
    from bert_keras3.checkpointing.inspection import Inspection


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert or inspect."""

    input: str | None = flag(
        None,
        "Checkpoint to convert: a Google checkpoint, a checkpoint or "
        "SavedModel of TensorFlow's Model Garden or Hub, a Hugging Face "
        "folder, a KerasHub preset, a .keras or .weights.h5 file, a .zip "
        "archive of one of these or its https:// address, or the name of a "
        "model published by Google, such as uncased_L-12_H-768_A-12, which is "
        "downloaded. Needed unless --inspect is given.",
        group="What to do",
        placeholder="CHECKPOINT",
    )
    output: str | None = flag(
        None,
        "Folder to write, which must not exist yet; with --format=keras also "
        "a file name that ends in .keras or .weights.h5. Needed unless "
        "--inspect is given.",
        group="What to do",
        placeholder="FOLDER",
    )
    format: str | None = flag(
        None,
        "Format to write. google: bert_model.ckpt, bert_config.json and "
        "vocab.txt; huggingface: a folder that the package transformers "
        "loads; kerashub: a preset of KerasHub; keras: a folder or a .keras or "
        ".weights.h5 file. Needed unless --inspect is given.",
        group="What to do",
        choices=("google", "huggingface", "kerashub", "keras"),
    )
    inspect: str | None = flag(
        None,
        "Checkpoint to describe instead of converting one: its format, "
        "configuration, heads and vocabulary. Any that --input takes.",
        group="What to do",
        placeholder="CHECKPOINT",
    )
    task: str | None = flag(
        None,
        "With --inspect: also list the weights that this task would lack or "
        "leave unused.",
        group="Inspection",
        needs=("inspect",),
        unless=("json",),
        choices=tuple(TASKS),
    )
    json: bool = flag(
        False,
        "With --inspect: print JSON instead of tables, with the weights for "
        "all tasks.",
        group="Inspection",
        needs=("inspect",),
    )
    verify: bool = flag(
        False,
        "Run the original and the converted model on the same inputs; if an "
        "output differs by more than 1e-5, nothing is written.",
        group="What to do",
        needs=("input",),
    )
    bert_config_file: str | None = flag(
        None,
        "JSON file with the model configuration: number of layers, hidden "
        "size and so on (bert_config.json). By default the one beside --input.",
        group="Model",
        placeholder="FILE",
        needs=("input",),
        aliases=("albert_config_file",),
    )
    vocab_file: str | None = flag(
        None,
        "Vocabulary file: vocab.txt, tokenizer.json or a SentencePiece .model "
        "file. By default the one beside --input.",
        group="Model",
        placeholder="FILE",
        needs=("input",),
        aliases=("spm_model_file",),
    )
    with_optimizer: bool = flag(
        False,
        "Keep the optimizer's moments and the number of training steps; only "
        "with --format=google. By default they are left out.",
        group="Model",
        needs=("input",),
    )
    architecture: str | None = flag(
        None,
        "Model class to write into config.json where the weights fit several, "
        "as those of text and of token classifiers do. By default the one "
        "that the input names, else the first of the list that fits.",
        group="Model",
        needs=("input",),
        choices=tuple(ARCHITECTURES),
    )
    labels_file: str | None = flag(
        None,
        "File with the class names, one per line, in the order of the model's "
        "outputs. By default the names that --input holds.",
        group="Model",
        placeholder="FILE",
        needs=("input",),
    )
    add_tokens: str | None = flag(
        None,
        "Text file with new words for the vocabulary, one per line. The "
        "embedding of each starts as the mean of the embeddings of its "
        "WordPiece tokens.",
        group="Vocabulary",
        placeholder="FILE",
        needs=("input",),
    )
    keep_tokens_of: str | None = flag(
        None,
        "Text files, comma-separated paths or glob patterns. Only tokens that "
        "they have are kept, with special tokens and single characters: the "
        "model computes the same on these texts, and its word embedding "
        "table is smaller. Other words are spelled out, or unknown.",
        group="Vocabulary",
        placeholder="FILES",
        needs=("input",),
    )
    report_text: str | None = flag(
        None,
        "Text file for which the average number of tokens per word before and "
        "after --add_tokens is reported.",
        group="Vocabulary",
        placeholder="FILE",
        needs=("add_tokens",),
    )


COMMAND = flags.Command(__doc__, Conversion)


def main() -> None:
    """Inspects or converts a checkpoint."""
    wanted = COMMAND.read(Conversion)
    source, target, form = wanted.input, wanted.output, wanted.format
    if wanted.inspect is not None:
        if source or target or form:
            raise UserError("--inspect stands alone: give no --input with it")
        _inspect(wanted.inspect, wanted)
    elif source and target and form:
        # Nothing else computes. Without it, BERT-Large takes half the memory.
        if wanted.verify:
            load_tensorflow()
        else:
            keep_tensorflow_out()
        _convert(source, target, form, wanted)
    else:
        given = {"--input": source, "--output": target, "--format": form}
        absent = [name for name, value in given.items() if not value]
        raise UserError(
            f"{', '.join(absent)}: missing. To convert, give --input, "
            "--output and --format; to look at a checkpoint, --inspect"
        )


def _inspect(path: str, wanted: Conversion) -> None:
    from bert_keras3.checkpointing.inspection import inspect

    inspection = inspect(path)
    if wanted.json:
        print(json.dumps(inspection.to_dict(), indent=2))
    else:
        _print_inspection(inspection, wanted.task)


def _print_inspection(inspection: Inspection, task: str | None) -> None:
    from bert_keras3.commands.screen import Screen

    screen = Screen()
    rows: list[tuple[str, object]] = [
        ("what it is", inspection.what),
        ("format", inspection.format),
        *inspection.sizes.items(),
        ("parameters", f"{inspection.parameters:,}"),
        (
            "stored as",
            ", ".join(f"{n} × {d}" for d, n in inspection.dtypes.items()),
        ),
        ("heads", ", ".join(inspection.heads) or "none"),
        *_trained_for(inspection),
        (
            "optimizer",
            f"{inspection.slots} values, {inspection.slot_parameters:,} numbers"
            if inspection.slots
            else "none",
        ),
        ("lines of vocabulary", inspection.vocabulary or "no vocabulary"),
    ]
    screen.table(("", ""), rows, title=inspection.path)
    screen.table(
        ("for this task", "missing", "unused", "wrong shape"),
        [
            (fit.task, *map(len, (fit.missing, fit.unused, fit.wrong_shape)))
            for fit in inspection.fits
        ],
    )
    for fit in inspection.fits:
        if fit.task == task:
            for what in ("missing", "unused", "wrong_shape"):
                for name in getattr(fit, what):
                    screen.say(f"{what.replace('_', ' ')}: {name}")
    for note in inspection.notes:
        screen.say(f"note: {note}")


def _trained_for(inspection: Inspection) -> Iterator[tuple[str, object]]:
    """Yields rows about the task, of a model that was trained for one."""
    if inspection.family == "unknown":
        return
    yield "class at Hugging Face", inspection.architecture
    if inspection.trained_for is not None:
        yield "trained for", FINE_TUNED[inspection.trained_for].words
    if inspection.labels:
        yield "labels", ", ".join(inspection.labels)
    if inspection.sentence_pooling is not None:
        yield "sentence vectors", str(inspection.sentence_pooling)


def _convert(source: str, target: str, form: str, wanted: Conversion) -> None:
    from bert_keras3.checkpointing.added_tokens import read_words
    from bert_keras3.checkpointing.conversion import Settings, convert

    words = wanted.add_tokens and read_words(pathlib.Path(wanted.add_tokens))
    outcome = convert(
        source,
        target,
        Settings(
            format=form,
            with_optimizer=wanted.with_optimizer,
            architecture=wanted.architecture,
            labels_file=wanted.labels_file,
            words=words or (),
            keep_tokens_of=wanted.keep_tokens_of,
            verify=wanted.verify,
            config_file=wanted.bert_config_file,
            vocab_file=wanted.vocab_file,
        ),
    )
    _print_outcome(outcome, wanted)


def _print_outcome(outcome: Outcome, wanted: Conversion) -> None:
    from rich.filesize import decimal

    from bert_keras3.checkpointing.added_tokens import report_saving
    from bert_keras3.checkpointing.conversion import parameters
    from bert_keras3.commands.screen import Screen
    from modeling.config import LAYER_NORM_EPSILON
    from tokenization.added_tokens import searched_for

    say = Screen().say
    result = outcome.result
    for note in outcome.source.notes:
        say(f"note: {note}")
    say(
        f"wrote {wanted.output}: {result.architecture} with "
        f"{parameters(result.arrays):,} parameters; heads: "
        f"{', '.join(result.heads) or 'none'}"
    )
    if outcome.bytes_dropped:
        say(
            f"left behind: {decimal(outcome.bytes_dropped)} of the "
            "optimizer's state"
        )
    if outcome.left_out:
        say(
            f"left out, since --format={wanted.format} has no place for them: "
            f"{', '.join(outcome.left_out)}"
        )
    if wanted.format == "kerashub" and searched_for(result.added_tokens):
        say(
            "KerasHub's tokenizer does not find added tokens in texts; their "
            "rows are there"
        )
    if wanted.format == "google" and result.config.hidden_act == "gelu_erf":
        say(
            "hidden_act is gelu_erf, which the original's own code does not "
            'know; with "gelu" in bert_config.json it runs, and each '
            "activation may differ by up to 4.7e-4"
        )
    epsilon = result.config.layer_norm_eps
    if wanted.format == "google" and epsilon != LAYER_NORM_EPSILON:
        say(
            f"layer_norm_eps is {epsilon:g}, which the original's own code "
            f"does not know: it computes with {LAYER_NORM_EPSILON:g}"
        )
    if outcome.added is not None:
        for line in outcome.added.lines():
            say(line)
        if wanted.report_text:
            text = pathlib.Path(wanted.report_text)
            say(report_saving(outcome.source, result, text))
    if outcome.kept is not None:
        say(outcome.kept.line())
    if outcome.difference is not None:
        say(f"largest difference of any output: {outcome.difference:.3g}")


def command() -> None:
    """Runs the command with the arguments of the process."""
    entry.run(main, COMMAND)
