"""The batches of the benchmarks: sentences of a file, tokenized beforehand."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from benchmarks.contender_inputs import Batch
from tokenization.packing import pack, pad
from tokenization.tokenizers import FullTokenizer


def make_batches(
    text_file: pathlib.Path,
    vocab_file: pathlib.Path,
    *,
    order: str,
    batch_size: int,
    num_batches: int,
    length: int | None = None,
) -> list[Batch]:
    """Makes batches of the lines of a file.

    Args:
        text_file: one sentence a line, or sentence, tab and number of a
            label, as SST-2's files.
        vocab_file: an uncased vocabulary.
        order: "random", or "sorted" by number of tokens.
        batch_size: B.
        num_batches: how many at most; drawn from the whole file, so that
            they have sentences of all lengths in either order.
        length: sentences are cut to this many tokens or filled up with their
            own, so that there is no padding at all; None leaves sentences as
            they are and pads them to the longest of their batch.

    Returns:
        `input_ids`, `input_mask`, `segment_ids`, int32 [B, S], and `targets`,
        int32 [B]: the labels, or 0 and 1 in turn if the file has none.
    """
    tokenizer = FullTokenizer(vocab_file, do_lower_case=True)
    cells = _cells(text_file)
    targets = [
        int(label or number % 2) for number, (_, _, label) in enumerate(cells)
    ]
    sentences = [tokenizer.encode(sentence) for sentence, _, _ in cells]
    if length is not None:
        sentences = [(ids * length)[: length - 2] for ids in sentences]
    rng = np.random.default_rng(1)
    chosen = rng.permutation(len(sentences))[: batch_size * num_batches]
    if order == "sorted":
        chosen = chosen[
            np.argsort([len(sentences[row]) for row in chosen], kind="stable")
        ]
    return [
        {
            **_inputs([sentences[row] for row in rows], tokenizer),
            "targets": np.array([targets[row] for row in rows], np.int32),
        }
        for rows in np.split(chosen, range(batch_size, len(chosen), batch_size))
        if len(rows) == batch_size
    ]


def make_texts(
    text_file: pathlib.Path,
    vocab_file: pathlib.Path,
    *,
    order: str,
    number: int,
) -> Batch:
    """Takes lines of a file as one batch, for contenders that tokenize.

    Args:
        text_file: as for `make_batches`.
        vocab_file: an uncased vocabulary, to count tokens.
        order: "random", or "sorted" by number of tokens.
        number: of texts at most.

    Returns:
        `texts`, str [N], beside what `make_batches` returns for them.
    """
    tokenizer = FullTokenizer(vocab_file, do_lower_case=True)
    texts = [sentence for sentence, _, _ in _cells(text_file)]
    chosen = np.random.default_rng(1).permutation(len(texts))[:number]
    ids = [tokenizer.encode(texts[row]) for row in chosen]
    if order == "sorted":
        places = np.argsort([len(one) for one in ids], kind="stable")
        chosen, ids = chosen[places], [ids[place] for place in places]
    return {
        **_inputs(ids, tokenizer),
        "texts": np.array([texts[row] for row in chosen]),
    }


def _cells(text_file: pathlib.Path) -> list[tuple[str, str, str]]:
    """Returns sentence, tab and label of each line, without the header."""
    lines = text_file.read_text("utf-8").splitlines()
    if lines[0].lower() == "sentence\tlabel":
        del lines[0]
    return [line.partition("\t") for line in lines]


def _inputs(
    sentences: Sequence[list[int]], tokenizer: FullTokenizer
) -> dict[str, np.ndarray]:
    return pad(
        [
            pack(
                ids,
                max_seq_length=512,
                cls_id=tokenizer.vocab["[CLS]"],
                sep_id=tokenizer.vocab["[SEP]"],
            )
            for ids in sentences
        ]
    )
