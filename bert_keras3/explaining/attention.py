"""The attention maps of a text, and what each head attends to on many.

texts → token ids → `BertModel.encode` → maps, their rollout, roles of heads
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from bert_keras3.checkpointing import Checkpoint
from bert_keras3.finetuning.encoding import TextEncoder
from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, store_in_memory
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.predict import Predictor
from bert_keras3.vectors.text_computer import TextComputer
from modeling import BertModel
from modeling.shapes import Tensor

ROLES = (
    "previous token",
    "next token",
    "itself",
    "same word",
    "other sentence",
    "[CLS]",
    "[SEP]",
)
"""What a head may attend to; `same word` is the same token elsewhere."""

_ROLES = "roles"
_INPUTS = ("input_ids", "input_mask", "segment_ids")


@dataclasses.dataclass(frozen=True)
class TextAttention:
    """The attention of a text or a pair.

    Attributes:
        tokens: S tokens, [CLS] and [SEP] included.
        segment_ids: S numbers, 1 for the second text of a pair.
        maps: float32 [L, N, S, S], the probability with which each token
            (third axis) attends to each other (fourth axis), before dropout.
        num_dropped: number of tokens by which the text was too long.
    """

    tokens: tuple[str, ...]
    segment_ids: tuple[int, ...]
    maps: np.ndarray
    num_dropped: int

    @property
    def rollout(self) -> np.ndarray:
        """Attention followed through the layers, float64 [L, S, S].

        Abnar and Zuidema 2020, section 3: of each layer the mean over its
        heads, half of it replaced by the residual connection; layer l of the
        result is the product of the first l + 1 of them. Rows sum to 1.
        """
        flow = np.eye(len(self.tokens))
        flows = []
        for heads in self.maps.astype(np.float64):
            flow = (heads.mean(0) + np.eye(len(flow))) / 2 @ flow
            flows.append(flow)
        return np.stack(flows)


class AttentionReader:
    """An encoder in memory, asked what it attends to.

    Attributes:
        max_seq_length: the most tokens of a text or a pair.
    """

    def __init__(self, checkpoint: Checkpoint, max_seq_length: int) -> None:
        """Loads the encoder.

        Args:
            checkpoint: has weights and a vocabulary; heads are left aside.
            max_seq_length: the most tokens of a text or a pair.

        Raises:
            UserError: there is no vocabulary, a weight is missing, or the
                model has not so many positions.
        """
        self.max_seq_length = max_seq_length
        self._computer = TextComputer(checkpoint)
        self._encoder: TextEncoder = self._computer.encoder(max_seq_length)
        self._predictor = Predictor(self._computer.bert, _role_shares)
        vocab = self._computer.tokenizer.vocab
        self._tokens = {number: token for token, number in vocab.items()}
        self._special = (vocab["[CLS]"], vocab["[SEP]"])

    def read(self, text: str, text_pair: str | None = None) -> TextAttention:
        """Computes the maps of a text or a pair.

        Args:
            text: not empty.
            text_pair: a second text.

        Raises:
            UserError: a text has no tokens.
        """
        example = InputExample("1", text, text_pair)
        row = self._row(example)
        computed = self._computer.bert.encode(
            {
                "input_ids": np.array([row["input_ids"]]),
                "segment_ids": np.array([row["segment_ids"]]),
            },
            outputs=["attention"],
        )
        maps = np.concatenate(
            [ops.convert_to_numpy(one) for one in computed.attention or ()]
        )
        encode = self._computer.tokenizer.encode
        num_tokens = sum(len(encode(one)) for one in example.texts)
        num_special = 1 + len(example.texts)
        return TextAttention(
            tuple(self._tokens[one] for one in row["input_ids"]),
            tuple(row["segment_ids"]),
            maps,
            max(0, num_tokens + num_special - len(row["input_ids"])),
        )

    def _row(self, example: InputExample) -> Mapping[str, Sequence[int]]:
        row = self._encoder.pack(example)
        if len(row["input_ids"]) <= 1 + len(example.texts):
            where = f"line {example.line}: " if example.line else ""
            raise UserError(
                f"{where}there is no token in {' / '.join(example.texts)!r}; "
                "give a text with words"
            )
        return row

    def roles(
        self, examples: Iterable[InputExample], batch_size: int
    ) -> np.ndarray:
        """Measures what each head attends to.

        As Clark et al. 2019 (section 3), the mean over the tokens of all texts
        of the attention that goes to each of `ROLES`; [CLS] and [SEP] do not
        count as tokens that attend. The roles overlap, and do not sum to 1.

        Args:
            examples: texts or pairs; those without tokens do not count.
            batch_size: texts in a batch.

        Returns:
            float32 [L, N, `len(ROLES)`].

        Raises:
            UserError: no text has tokens.
        """
        rows = [self._encoder.pack(example) for example in examples]
        special = set(self._special)
        weights = np.array(
            [
                sum(one not in special for one in row["input_ids"])
                for row in rows
            ],
            np.float64,
        )
        if not weights.sum():
            raise UserError("no text has a token to measure attention on")
        columns = {
            **INPUT_COLUMNS,
            # The numbers of [CLS] and [SEP] differ between vocabularies.
            "special": dataclasses.replace(
                INPUT_COLUMNS["input_ids"], per_token=False, shape=(2,)
            ),
        }
        store = store_in_memory(
            enumerate({**row, "special": self._special} for row in rows),
            columns,
        )
        batches = batches_by_length(
            store,
            np.arange(len(rows)),
            BatchLimit(batch_size),
            (*_INPUTS, "special"),
        )
        shares = self._predictor(batches, store.lengths)[_ROLES]
        mean = np.average(shares, axis=0, weights=weights)
        return mean.astype(np.float32)


def _role_shares(
    bert: BertModel, features: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Returns the mean shares over each text's tokens, [B, L, N, roles]."""
    inputs = {name: features[name] for name in _INPUTS}
    maps = bert.encode(inputs, outputs=["attention"]).attention or ()
    # [B, L, N, S, S]
    attention = ops.stack([ops.cast(one, "float32") for one in maps], axis=1)
    ids, segments = features["input_ids"], features["segment_ids"]
    is_real = ops.cast(features["input_mask"], "bool")
    special = features["special"]
    is_cls, is_sep = (
        ops.logical_and(is_real, ops.equal(ids, special[:, place : place + 1]))
        for place in (0, 1)
    )
    # [B, S]
    is_token = ops.logical_and(
        is_real, ops.logical_not(ops.logical_or(is_cls, is_sep))
    )
    places = ops.arange(ops.shape(ids)[1])
    # [S, S]: how far behind the query the key is.
    distance = places[None, :] - places[:, None]
    elsewhere = ops.not_equal(distance, 0)[None]
    # Tokens that look, and what they may look at.
    pairs = ops.logical_and(is_token[:, :, None], is_real[:, None, :])
    # [B, S, S, roles]
    goals = ops.stack(
        [
            ops.cast(ops.logical_and(goal, pairs), "float32")
            for goal in (
                ops.equal(distance, -1)[None],
                ops.equal(distance, 1)[None],
                ops.equal(distance, 0)[None],
                ops.logical_and(_same(ids), elsewhere),
                ops.logical_and(
                    ops.logical_not(_same(segments)), is_token[:, None, :]
                ),
                is_cls[:, None, :],
                is_sep[:, None, :],
            )
        ],
        axis=-1,
    )
    counted = ops.cast(is_token, "float32")
    # [B, 1]
    num_tokens = ops.maximum(ops.sum(counted, axis=1, keepdims=True), 1.0)
    weights = (counted / num_tokens)[:, None, None, :, None]
    batch, layers, heads, length, _ = ops.shape(attention)
    # [B, L, N, S, S] -> [B, L·N, S·S]
    attention = ops.reshape(
        attention * weights, (batch, layers * heads, length * length)
    )
    # [B, S, S, roles] -> [B, S·S, roles]
    goals = ops.reshape(goals, (batch, length * length, len(ROLES)))
    # [B, L·N, S·S] x [B, S·S, roles] -> [B, L, N, roles]
    shares = ops.reshape(
        ops.matmul(attention, goals), (batch, layers, heads, len(ROLES))
    )
    return {_ROLES: shares}


def _same(values: Tensor) -> Tensor:
    """[B, S] → whether two places have the same value, [B, S, S]."""
    return ops.equal(values[:, :, None], values[:, None, :])
