"""From a text to the page of its attention."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable

import numpy as np

from bert_keras3 import checkpointing
from bert_keras3.explaining.attention import (
    ROLES,
    AttentionReader,
    TextAttention,
)
from bert_keras3.explaining.page import attention_page
from bert_keras3.explaining.settings import AttentionJob
from bert_keras3.explaining.translated_attention import TranslationReader
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.texts import open_texts
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.session import Screen
from bert_keras3.translation.run_folder import holds_translator

_ARRAYS = ".npz"


def run(job: AttentionJob, screen: Screen) -> None:
    """Writes the page, or the arrays, of a text's attention.

    Args:
        job: its settings.
        screen: where to print.

    Raises:
        UserError: a flag, the checkpoint or a text is wrong, or the output
            file exists; nothing has been written then.
    """
    check_ranges(job)
    output = pathlib.Path(job.output_file)
    if output.exists():
        raise UserError(
            f"--output_file={output}: exists and is not overwritten; give "
            "another name or remove it"
        )
    reader: AttentionReader | TranslationReader
    if holds_translator(job.init_checkpoint):
        _refuse_file(job)
        reader = TranslationReader(job.init_checkpoint)
        attention = reader.read(job.text, job.text_pair)
        roles, num_texts = reader.roles(attention), 1
    else:
        examples = _examples(job, screen)
        checkpoint = checkpointing.open(
            job.init_checkpoint,
            config_file=job.bert_config_file,
            vocab_file=job.vocab_file,
            do_lower_case=job.do_lower_case,
        )
        reader = AttentionReader(checkpoint, job.max_seq_length)
        attention = reader.read(job.text, job.text_pair)
        roles, num_texts = reader.roles(examples, job.batch_size), len(examples)
    if attention.num_dropped:
        screen.say(
            f"--text is {attention.num_dropped} tokens longer than "
            f"--max_seq_length={reader.max_seq_length} and is shown without "
            "them"
        )
    _write(job, output, attention, roles)
    _show(roles, num_texts, screen)
    screen.say(f"wrote {output}")


def _refuse_file(job: AttentionJob) -> None:
    """Refuses texts to measure the heads of a translator on.

    Raises:
        UserError: some are given.
    """
    if job.input_file is not None:
        raise UserError(
            f"--input_file={job.input_file}: what the heads of a translator "
            "attend to is measured on --text; leave it out"
        )


def _examples(job: AttentionJob, screen: Screen) -> list[InputExample]:
    """Returns the texts on which roles are measured."""
    if job.input_file is None:
        return [InputExample("1", job.text, job.text_pair)]
    file = open_texts(job.input_file, job.file)
    for note in file.notes():
        screen.say(note)
    return list(itertools.islice(iter(file), job.max_rows))


def _write(
    job: AttentionJob,
    output: pathlib.Path,
    attention: TextAttention,
    roles: np.ndarray,
) -> None:
    if output.suffix.lower() == _ARRAYS:
        with atomic_write(str(output), "wb") as file:
            np.savez_compressed(
                file,
                tokens=np.array(attention.tokens),
                segment_ids=np.array(attention.segment_ids, np.int32),
                attention=attention.maps,
                rollout=attention.rollout.astype(np.float32),
                roles=np.array(ROLES),
                shares=roles,
            )
        return
    page = attention_page(
        attention,
        roles,
        model=job.init_checkpoint,
        measured_on=job.input_file or "the text itself",
    )
    with atomic_write(str(output)) as file:
        file.write(page)


def _show(roles: np.ndarray, num_texts: int, screen: Screen) -> None:
    """Prints the heads that attend most to each role."""
    screen.table(
        ["attends to", "most of all", "share", "mean of all heads"],
        _best(roles),
        title=f"What heads attend to, on {num_texts} "
        f"text{'s' * (num_texts != 1)}",
    )


def _best(roles: np.ndarray) -> Iterable[tuple[str, str, str, str]]:
    for place, role in enumerate(ROLES):
        shares = roles[..., place]
        layer, head = np.unravel_index(shares.argmax(), shares.shape)
        yield (
            role,
            f"layer {layer + 1}, head {head + 1}",
            f"{shares[layer, head]:.2f}",
            f"{shares.mean():.2f}",
        )
