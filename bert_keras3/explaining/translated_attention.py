"""The attention maps of a translator: a text, its translation, both halves.

source, target ─▶ `EncoderDecoder` ─▶ maps over the tokens of both

The layers are those of the encoder, then of each decoder layer the attention
of the target to itself and that to the source. A token that a layer does not
compute looks at itself there, with which the rollout follows it unchanged.
"""

from __future__ import annotations

import os

import numpy as np
from keras import ops

from bert_keras3.explaining.attention import ROLES, TextAttention
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.translation.translator import Translator
from modeling.attention import recorded_attention
from tokenization.packing import pack

_SPECIAL = ("[CLS]", "[SEP]")


class TranslationReader:
    """A translator in memory, asked what it attends to.

    Attributes:
        max_seq_length: the most tokens of a text.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Loads the translator.

        Args:
            path: the --output_dir of its training.

        Raises:
            UserError: a file is missing or damaged.
        """
        self._translator = Translator.open(path)
        self.max_seq_length = self._translator.settings.max_seq_length

    def read(self, text: str, translation: str | None = None) -> TextAttention:
        """Computes the maps of a text and its translation.

        Args:
            text: not empty.
            translation: by default the translator's own.

        Returns:
            Of the tokens of both, `maps` [L, N, S + T, S + T]: L layers of
            the encoder and twice those of the decoder. `segment_ids` is 1 for
            the translation, which begins with [CLS], and whose [SEP] no token
            is computed from.

        Raises:
            UserError: a text has no tokens.
        """
        translator = self._translator
        if translation is None:
            translation = translator([text])[0]
        rows, dropped = [], 0
        for one, tokenizer in (
            (text, translator.source),
            (translation, translator.target),
        ):
            ids = tokenizer.encode(one)
            if not ids:
                raise UserError(
                    f"there is no token in {one!r}; give a text with words"
                )
            packed = pack(
                ids,
                max_seq_length=translator.settings.max_seq_length,
                cls_id=tokenizer.vocab["[CLS]"],
                sep_id=tokenizer.vocab["[SEP]"],
            )
            dropped += packed.num_dropped
            rows.append(packed.input_ids)
        source, target = rows
        model = translator.model
        inputs = {"input_ids": np.array([source], np.int32)}
        encoded = model.bert.encode(inputs, outputs=["attention"])
        with recorded_attention() as maps:
            model(
                {
                    **inputs,
                    "target_ids": np.array([target], np.int32),
                    "target_mask": np.ones((1, len(target)), np.int32),
                }
            )
        size = len(source)
        tokens = (
            *translator.source.convert_ids_to_tokens(source),
            *translator.target.convert_ids_to_tokens(target),
        )
        first, second = slice(0, size), slice(size, len(tokens))
        blocks = [(first, first, one) for one in encoded.attention or ()]
        for place, one in enumerate(maps):
            blocks.append((second, first if place % 2 else second, one))
        return TextAttention(
            tokens,
            (0,) * size + (1,) * len(target),
            np.stack([_whole(len(tokens), *block) for block in blocks]),
            dropped,
        )

    def roles(self, attention: TextAttention) -> np.ndarray:
        """Measures what each head attends to in one text.

        As `AttentionReader.roles`, over the tokens that each layer computes.

        Args:
            attention: of a text and its translation.

        Returns:
            float32 [L, N, `len(ROLES)`].
        """
        tokens = np.array(attention.tokens)
        segments = np.array(attention.segment_ids)
        distance = (
            np.arange(len(tokens))[None] - np.arange(len(tokens))[:, None]
        )
        is_word = ~np.isin(tokens, _SPECIAL)
        goals = {
            "previous token": distance == -1,
            "next token": distance == 1,
            "itself": distance == 0,
            "same word": (tokens[:, None] == tokens) & (distance != 0),
            "other sentence": (segments[:, None] != segments) & is_word,
            "[CLS]": np.broadcast_to(tokens == "[CLS]", distance.shape),
            "[SEP]": np.broadcast_to(tokens == "[SEP]", distance.shape),
        }
        # [roles, S + T, S + T]
        reached = np.stack([goals[role] for role in ROLES])
        num_encoder = self._translator.settings.config.num_hidden_layers
        shares = []
        for layer, maps in enumerate(attention.maps):
            looks = is_word & (segments == int(layer >= num_encoder))
            # [N, looking, S + T], [roles, looking, S + T] -> [N, roles]
            shares.append(
                np.einsum("nij,rij->nr", maps[:, looks], reached[:, looks])
                / looks.sum()
            )
        return np.array(shares, np.float32)


def _whole(size: int, rows: slice, columns: slice, maps: object) -> np.ndarray:
    """Maps [1, N, F, T] of some tokens → of all, [N, size, size]."""
    (values,) = ops.convert_to_numpy(maps)
    whole = np.tile(np.eye(size, dtype=np.float32), (len(values), 1, 1))
    whole[:, rows] = 0
    whole[:, rows, columns] = values
    return whole
