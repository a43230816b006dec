"""A pretrained checkpoint in memory, which is asked about texts.

    model = MaskedLM("uncased_L-12_H-768_A-12")
    model.fill(["Paris is the [MASK] of France."])[0].words[0][0].text
    model.score(["Paris is the capital of France."])[0].perplexity
    model.next_sentence([("It rained.", "The streets were wet.")])

`search` decides which masks are asked for, `pretrained_heads` computes them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_keras3 import checkpointing
from bert_keras3.mask_filling import search
from bert_keras3.mask_filling.masked_text import (
    MaskedText,
    read_masked,
    window_around,
)
from bert_keras3.mask_filling.pieces import Pieces
from bert_keras3.mask_filling.pretrained_heads import (
    MASKED_LM,
    NEXT_SENTENCE,
    PretrainedHeads,
    Row,
)
from bert_keras3.pretraining_data.masking import MASK
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.training.concurrency import suitable_concurrency
from bert_keras3.training.devices import has_gpu
from tokenization.packing import (
    NUM_SPECIAL_SINGLE,
    Packed,
    check_max_seq_length,
    pack,
)
from tokenization.vocab import require_special_tokens

Path = str | os.PathLike[str]

# Rows whose probabilities of all pieces are in memory at a time: 30 MB with
# a vocabulary of 30,000.
_ROWS_AT_ONCE = 256
# Texts whose masks are searched for at a time.
_TEXTS_AT_ONCE = 256
# Characters of a text in messages.
_SHOWN = 60
# Rows of texts to be scored, which have one probability each.
_SCORED_AT_ONCE = 2048


@dataclasses.dataclass(frozen=True)
class Word:
    """A word for a mask.

    Attributes:
        text: as it is read; `##ing` where it goes on with the word before.
        pieces: of which it is made.
        log_probability: Σ ln P(piece), of each piece given those before it
            and that the word has as many.
    """

    text: str
    pieces: tuple[str, ...]
    log_probability: float

    @property
    def probability(self) -> float:
        """The probability, among words of as many pieces."""
        return math.exp(self.log_probability)

    @property
    def score(self) -> float:
        """The geometric mean of the pieces' probabilities, to compare by."""
        return math.exp(self.log_probability / len(self.pieces))


@dataclasses.dataclass(frozen=True)
class JointFilling:
    """A word for each mask of a text.

    Attributes:
        words: from left to right, each chosen in view of those before it.
        text: the text with these words.
    """

    words: tuple[Word, ...]
    text: str

    @property
    def probability(self) -> float:
        """The product of the words' probabilities."""
        return math.exp(math.fsum(one.log_probability for one in self.words))

    @property
    def score(self) -> float:
        """The product of the words' scores."""
        return math.prod(one.score for one in self.words)


@dataclasses.dataclass(frozen=True)
class Filling:
    """The answer for one text with masks.

    Attributes:
        text: as it was given.
        words: for each mask, the words that fit it best, best first, the
            other masks left open.
        joint: the words that fit all masks together, best first.
        num_unread: tokens of the text that the model did not read, since it
            is too long: each mask was filled from the tokens around it.
    """

    text: str
    words: tuple[tuple[Word, ...], ...]
    joint: tuple[JointFilling, ...]
    num_unread: int


@dataclasses.dataclass(frozen=True)
class TextScore:
    """The pseudo-log-likelihood of one text (Salazar et al. 2020).

    Attributes:
        tokens: of the text, without [CLS] and [SEP].
        log_probabilities: ln P of each, with it alone masked; float32 [T].
        num_unknown: how many of the tokens are the unknown token.
        num_unread: tokens outside of what the model read around each token.
    """

    tokens: tuple[str, ...]
    log_probabilities: np.ndarray
    num_unknown: int
    num_unread: int

    @property
    def pseudo_log_likelihood(self) -> float:
        """The sum of the log-probabilities."""
        return float(self.log_probabilities.sum(dtype=np.float64))

    @property
    def perplexity(self) -> float:
        """exp(−pseudo-log-likelihood / number of tokens)."""
        return math.exp(-self.pseudo_log_likelihood / len(self.tokens))


@dataclasses.dataclass(frozen=True)
class FillOptions:
    """What `MaskedLM.fill` is to find, checked.

    Attributes:
        top_k: number of words for each mask, and of joint fillings.
        candidates: pieces of the words to choose from; None: any.
        max_pieces: the most pieces of other words.
        width: of the beam, at least `top_k`.
    """

    top_k: int
    candidates: tuple[tuple[int, ...], ...] | None
    max_pieces: int
    width: int


class MaskedLM:
    """A checkpoint with pretraining heads in memory.

    Several threads may use one at a time. The first call of each method takes
    a second longer, since its graph is made then.

    Attributes:
        max_seq_length: the most tokens that are read at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        config_file: Path | None = None,
        vocab_file: Path | None = None,
        do_lower_case: bool | None = None,
        max_seq_length: int | None = None,
        batch_size: int = 32,
        concurrency: int | None = None,
    ) -> None:
        """Loads a model.

        Args:
            path: a Google checkpoint, a Hugging Face folder, a Keras file or
                what else `checkpointing.open` reads.
            config_file: the configuration; by default the one beside it.
            vocab_file: the vocabulary; by default the one beside it.
            do_lower_case: whether text is lower-cased; by default detected.
            max_seq_length: the most tokens to read at a time, [CLS] and [SEP]
                included; by default as many as the model has positions.
            batch_size: the most rows of a batch.
            concurrency: number of batches computed in parallel; by default
                what suits the number of cores.

        Raises:
            UserError: there is no checkpoint, or it has no pretraining head
                or no vocabulary with [MASK]; or a number is out of range.
        """
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: must be at least 1")
        checkpoint = checkpointing.open(
            path, config_file, vocab_file, do_lower_case
        )
        config = checkpoint.config
        self.max_seq_length = config.max_position_embeddings
        if max_seq_length is not None:
            self.max_seq_length = max_seq_length
        check_max_seq_length(self.max_seq_length, pair=False)
        if self.max_seq_length > config.max_position_embeddings:
            raise UserError(
                f"max_seq_length={max_seq_length}: {path} has positions for "
                f"{config.max_position_embeddings} tokens; give at most that"
            )
        self._heads = PretrainedHeads(
            checkpoint,
            batch_size=batch_size,
            concurrency=concurrency
            or (1 if has_gpu() else suitable_concurrency()),
        )
        tokenizer = checkpoint.tokenizer()
        vocab = tokenizer.vocab
        if checkpoint.vocab_file is not None:
            require_special_tokens(
                vocab, checkpoint.vocab_file, ("[CLS]", "[SEP]", MASK)
            )
        if max(vocab.values()) >= config.vocab_size:
            raise UserError(
                f"{checkpoint.vocab_file}: has {max(vocab.values()) + 1} "
                f"tokens, and the model {path} rows for {config.vocab_size}; "
                "give the vocabulary that belongs to it"
            )
        self._pieces = Pieces(tokenizer, config.vocab_size)

    @property
    def has_masked_lm(self) -> bool:
        """Whether masks can be filled and texts scored."""
        return MASKED_LM in self._heads.model.heads

    @property
    def has_next_sentence(self) -> bool:
        """Whether pairs can be judged."""
        return NEXT_SENTENCE in self._heads.model.heads

    def fill(
        self,
        texts: Sequence[str],
        top_k: int = 5,
        *,
        candidates: Sequence[str] | None = None,
        max_pieces: int = 1,
        beam_size: int = 10,
    ) -> list[Filling]:
        """Finds the best words for each `[MASK]` of some texts.

        Args:
            texts: N strings, each with at least one `[MASK]`; N may be 0.
            top_k: number of words for each mask, and of joint fillings.
            candidates: words to choose from, of any number of pieces, all of
                which are answered; an entry of the vocabulary, such as
                `##ing`, may be one. None: the whole vocabulary without its
                special tokens.
            max_pieces: the most pieces of a word; with Chinese, characters.
            beam_size: of the beams for words of several pieces and for several
                masks; at least top_k is taken.

        Returns:
            N answers in the order of the texts.

        Raises:
            UserError: there is no masked-LM head, a text has no `[MASK]`, a
                number is out of range, a candidate is not in the vocabulary.
        """
        options = self.options(top_k, candidates, max_pieces, beam_size)
        _check_list(texts, "fill")
        masked = [self.masked_text(text) for text in texts]
        answers: list[Filling] = []
        for first in range(0, len(masked), _TEXTS_AT_ONCE):
            some = masked[first : first + _TEXTS_AT_ONCE]
            answers += self._fill(some, options)
        return answers

    def options(
        self,
        top_k: int = 5,
        candidates: Sequence[str] | None = None,
        max_pieces: int = 1,
        beam_size: int = 10,
    ) -> FillOptions:
        """Checks what is wanted; the arguments are those of `fill`.

        Raises:
            UserError: as for `fill`, but for the texts.
        """
        self._heads.require(MASKED_LM)
        words = int(self._pieces.begins.sum())
        room = self.max_seq_length - NUM_SPECIAL_SINGLE
        for name, value, most, why in (
            ("top_k", top_k, words, "the vocabulary has no more words"),
            ("max_pieces", max_pieces, room, "the model reads no more tokens"),
        ):
            if not 1 <= value <= most:
                raise UserError(
                    f"{name}={value}: give a number from 1 to {most}"
                    + f"; {why}" * (value > most)
                )
        if beam_size < 1:
            raise UserError(f"beam_size={beam_size}: must be at least 1")
        if candidates is None:
            return FillOptions(top_k, None, max_pieces, max(top_k, beam_size))
        chosen = tuple(dict.fromkeys(map(self._candidate, candidates)))
        if not chosen:
            raise UserError("candidates: give at least one word")
        return FillOptions(len(chosen), chosen, 1, max(len(chosen), beam_size))

    def _candidate(self, word: str) -> tuple[int, ...]:
        ids = self._pieces.of_candidate(word)
        if ids is None:
            missing = dict.fromkeys(self._pieces.tokenizer.unknown_parts(word))
            why = f": it lacks {', '.join(missing)}" if missing else ""
            raise UserError(
                f"the candidate {word!r} is no word of the model's "
                f"vocabulary{why}; leave it out or give another"
            )
        return ids

    def masked_text(self, text: str) -> MaskedText:
        """Reads a text with masks.

        Raises:
            UserError: it has none.
        """
        masked = read_masked(text, self._pieces)
        if not masked.positions:
            raise UserError(
                f"there is no {MASK} in {_shown(text)}; write it, in capitals "
                "and brackets, where a word is wanted"
            )
        return masked

    def _fill(
        self, texts: Sequence[MaskedText], options: FillOptions
    ) -> list[Filling]:
        """Fills the masks of several texts at once."""
        find = self._find(options)
        alone = search.together(
            search.together(
                find(text.ids, position, within_word)
                for position, within_word in zip(
                    text.positions, text.within_word, strict=True
                )
            )
            for text in texts
        )
        joint = search.together(
            search.joint_fillings(text, find, options.width) for text in texts
        )
        words, fillings = search.run(search.both(alone, joint), self._answer)
        return [
            self._filling(text, *answer, options.top_k)
            for text, answer in zip(
                texts, zip(words, fillings, strict=True), strict=True
            )
        ]

    def _find(self, options: FillOptions) -> search.Find:
        """Returns the search for the words of one mask."""
        if options.candidates is None:
            return functools.partial(
                search.best_words,
                pieces=self._pieces,
                width=options.width,
                max_pieces=options.max_pieces,
            )
        return functools.partial(
            search.scored_candidates,
            candidates=options.candidates,
            mask_id=self._pieces.mask_id,
        )

    def _answer(self, queries: list[search.Query]) -> list[Any]:
        """Computes what is read from each query; equal rows once."""
        asked: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for number, (ids, position, _) in enumerate(queries):
            asked.setdefault((ids, position), []).append(number)
        answers: list[Any] = [None] * len(queries)
        every = iter(asked.items())
        while some := list(itertools.islice(every, _ROWS_AT_ONCE)):
            rows = [
                Row(*window_around(*masked, self._pieces, self.max_seq_length))
                for masked, _ in some
            ]
            for (_, numbers), values in zip(
                some, self._heads.masked(rows), strict=True
            ):
                for number in numbers:
                    answers[number] = queries[number].read(values)
        return answers

    def _filling(
        self,
        text: MaskedText,
        alone: Sequence[Sequence[search.Found]],
        joint: Sequence[Sequence[search.Found]],
        top_k: int,
    ) -> Filling:
        joint_words = [tuple(map(self._word, one)) for one in joint[:top_k]]
        return Filling(
            text.text,
            tuple(tuple(map(self._word, one[:top_k])) for one in alone),
            tuple(
                JointFilling(words, text.filled([one.text for one in words]))
                for words in joint_words
            ),
            self._num_unread(len(text.ids)),
        )

    def _num_unread(self, num_tokens: int) -> int:
        return max(0, num_tokens + NUM_SPECIAL_SINGLE - self.max_seq_length)

    def _word(self, found: search.Found) -> Word:
        return Word(
            self._pieces.text(found.ids),
            tuple(self._pieces.tokenizer.convert_ids_to_tokens(found.ids)),
            found.log_probability,
        )

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Computes the pseudo-log-likelihoods of some texts.

        Each token is masked in turn and predicted from all the others
        (Salazar et al. 2020, "Masked Language Model Scoring").

        Args:
            texts: N strings; N may be 0.

        Returns:
            N scores in the order of the texts.

        Raises:
            UserError: there is no masked-LM head, a text is empty or has a
                `[MASK]`.
        """
        self._heads.require(MASKED_LM)
        _check_list(texts, "score")
        encoded = [self.tokens_to_score(text) for text in texts]
        values = np.zeros(sum(map(len, encoded)), np.float32)
        rows = self._rows_to_score(encoded)
        done = 0
        # A row has as many ids as its text, so few rows are made at a time.
        while some := list(itertools.islice(rows, _SCORED_AT_ONCE)):
            values[done : done + len(some)] = self._heads.of_targets(some)
            done += len(some)
        scores, start = [], 0
        for ids in encoded:
            scores.append(
                TextScore(
                    tuple(self._pieces.tokenizer.convert_ids_to_tokens(ids)),
                    values[start : start + len(ids)],
                    sum(map(self._pieces.is_unknown, ids)),
                    self._num_unread(len(ids)),
                )
            )
            start += len(ids)
        return scores

    def _rows_to_score(self, encoded: Sequence[Sequence[int]]) -> Iterator[Row]:
        for ids in encoded:
            for position, target in enumerate(ids):
                packed, place = window_around(
                    ids, position, self._pieces, self.max_seq_length
                )
                packed.input_ids[place] = self._pieces.mask_id
                yield Row(packed, place, target)

    def tokens_to_score(self, text: str) -> list[int]:
        """Returns the token ids of a text to be scored.

        Raises:
            UserError: it is empty or has a `[MASK]`.
        """
        if MASK in text:
            raise UserError(
                f"there is a {MASK} in {_shown(text)}; a text that is scored "
                "must be whole"
            )
        return self._tokens(text)

    def _tokens(self, text: str) -> list[int]:
        ids = self._pieces.tokenizer.encode(text)
        if not ids:
            raise UserError(f"the text {_shown(text)} is empty: it has no word")
        return ids

    def next_sentence(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Computes the probabilities that B follows A.

        Of an ALBERT, or a model trained with `--sentence_objective=sop`, that
        A and B are in order. Pairs that are too long are cut as in training
        classifiers, the longer text first, at its end.

        Args:
            pairs: N of (A, B); N may be 0.

        Returns:
            float32 [N].

        Raises:
            UserError: there is no next-sentence head, or a text is empty.
        """
        self._heads.require(NEXT_SENTENCE)
        rows = [Row(self.packed_pair(*pair)) for pair in pairs]
        if not rows:
            return np.zeros(0, np.float32)
        return np.exp(self._heads.pairs(rows)[:, 0])

    def packed_pair(self, text_a: str, text_b: str) -> Packed:
        """Returns the input for a pair of texts.

        Raises:
            UserError: one is empty.
        """
        return pack(
            self._tokens(text_a),
            self._tokens(text_b),
            max_seq_length=self.max_seq_length,
            cls_id=self._pieces.cls_id,
            sep_id=self._pieces.sep_id,
        )


def _check_list(texts: Sequence[str], method: str) -> None:
    if isinstance(texts, (str, bytes)):
        raise UserError(
            f"{method} takes a list of texts and was given one text; put it "
            "into a list"
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
