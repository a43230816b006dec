"""A trained translator in memory: texts → translations.

translator = Translator.open("en_de")
translator(["Two dogs play."])  # ["Zwei Hunde spielen."]
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from bert_keras3.inputs.batches import BatchLimit, batches_by_length
from bert_keras3.inputs.feature_store import INPUT_COLUMNS, store_in_memory
from bert_keras3.training.predict import Predictor
from bert_keras3.translation.detokenization import Detokenizer
from bert_keras3.translation.run_folder import (
    TranslatorFolder,
    TranslatorSettings,
)
from modeling.decoder import EncoderDecoder
from modeling.generation import SearchSettings, generate
from modeling.shapes import Tensor
from tokenization.packing import pack
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import tokens_in_order

_IDS, _SCORE = "ids", "score"
_COLUMNS = {"input_ids": INPUT_COLUMNS["input_ids"]}


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How translations are searched for.

    Attributes:
        beam_size: hypotheses that are followed; 1: greedy.
        length_penalty: see `SearchSettings`.
        batch_tokens: most tokens of a batch, padding included.
        concurrency: number of batches computed at the same time.
    """

    beam_size: int = 4
    length_penalty: float = 0.6
    batch_tokens: int = 4096
    concurrency: int = 1


class Translator:
    """A model, its tokenizers, and how translations are searched for.

    Attributes:
        model: the encoder and the decoder.
        settings: what it is made of.
        source: the tokenizer of texts.
        target: the tokenizer of their translations.
        search: how translations are searched for.
        detokenize: token ids → text.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        settings: TranslatorSettings,
        tokenizers: tuple[FullTokenizer, FullTokenizer],
        decoding: Decoding | None = None,
    ) -> None:
        """Takes a model.

        Args:
            model: with its weights.
            settings: what it is made of.
            tokenizers: of texts and of translations.
            decoding: how translations are searched for.
        """
        self.model = model
        self.settings = settings
        self.source, self.target = tokenizers
        self._decoding = decoding or Decoding()
        vocab = self.target.vocab
        special = [
            vocab[one] for one in self.target.special_tokens if one in vocab
        ]
        end = vocab["[SEP]"]
        # Rows of the table beyond the vocabulary, if it is shorter.
        beyond = range(
            len(tokens_in_order(vocab)), settings.decoder_config.vocab_size
        )
        self.search = SearchSettings(
            begin_id=vocab["[CLS]"],
            end_id=end,
            never=tuple({*special, *beyond} - {end}),
            max_length=settings.max_seq_length - 1,
            beam_size=self._decoding.beam_size,
            length_penalty=self._decoding.length_penalty,
        )
        self.detokenize = Detokenizer(
            tokens_in_order(vocab), settings.spacing, special
        )
        self._predictor = Predictor(
            model, self._outputs, concurrency=self._decoding.concurrency
        )

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], decoding: Decoding | None = None
    ) -> Translator:
        """Opens the --output_dir of a training.

        Args:
            path: the folder.
            decoding: how translations are searched for.

        Raises:
            UserError: it holds no translator, or a file is damaged.
        """
        folder = TranslatorFolder(path)
        settings = folder.read_settings()
        model = settings.new_model()
        folder.load_weights(model)
        return cls(model, settings, folder.tokenizers(settings), decoding)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Translates texts; longer ones than the model reads are truncated.

        Args:
            texts: any number; blank ones remain so.

        Returns:
            Their translations, in the same order.
        """
        vocab = self.source.vocab
        rows, numbers = [], []
        for number, text in enumerate(texts):
            ids = self.source.encode(text)
            if ids:
                numbers.append(number)
                rows.append(
                    pack(
                        ids,
                        max_seq_length=self.settings.max_seq_length,
                        cls_id=vocab["[CLS]"],
                        sep_id=vocab["[SEP]"],
                    ).input_ids
                )
        translations = [""] * len(texts)
        if not rows:
            return translations
        store = store_in_memory(
            enumerate({"input_ids": row} for row in rows), _COLUMNS
        )
        batches = batches_by_length(
            store,
            np.arange(len(rows)),
            BatchLimit(len(rows), self._decoding.batch_tokens),
        )
        found = self._predictor(batches, store.lengths)[_IDS]
        # No further than the longest.
        used = int((found != self.search.end_id).any(axis=0).sum())
        shown = self.detokenize(found[:, : used or 1]).numpy()
        for number, text in zip(numbers, shown, strict=True):
            translations[number] = text.decode("utf-8")
        return translations

    def translated(self, features: Mapping[str, Tensor]) -> dict[str, Any]:
        """Translates a batch inside a graph.

        Args:
            features: `input_ids` and `input_mask`, int32 [B, S].

        Returns:
            `translation` string [B] and `score` float32 [B], its log
            probability divided by the length penalty.
        """
        ids, scores = generate(self.model, features, self.search)
        return {"translation": self.detokenize(ids), "score": scores}

    def _outputs(
        self, model: EncoderDecoder, features: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Ids int32 [B, longest], the same for every batch, and scores [B]."""
        ids, scores = generate(model, features, self.search)
        missing = self.search.max_length - ops.shape(ids)[1]
        ids = tf.pad(
            ids, [[0, 0], [0, missing]], constant_values=self.search.end_id
        )
        return {_IDS: tf.ensure_shape(ids, [None, None]), _SCORE: scores}
