"""Which tokens are hidden, and by what: 15 %, and of those 80/10/10.

A strategy says which tokens are hidden together, as units; all else is the
same for all. Works on whole batches in NumPy, for files as for masks drawn
while training; the original's order of chance is in `original`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from bert_keras3.pretraining_data import streams
from bert_keras3.pretraining_data.settings import (
    NGRAM_WEIGHTS,
    MaskingSettings,
)
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError

MASK = "[MASK]"
# Of the tokens chosen, 80 % become [MASK]; of the others one half stays and
# one half becomes a random entry of the vocabulary: 80/10/10.
MASKED = 0.8
KEPT_OF_REST = 0.5

# Tells the draws of one instance apart.
_UNITS, _PRIORITIES, _REPLACEMENTS = range(3)
_POSITION_BITS = np.uint64(16)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """What masking has to know of a vocabulary.

    Attributes:
        cls_id: of [CLS].
        sep_id: of [SEP].
        mask_id: of [MASK].
        ids: int32 [V]; a random token is one of these.
    """

    cls_id: int
    sep_id: int
    mask_id: int
    ids: np.ndarray

    @classmethod
    def of(cls, entries: Mapping[str, int]) -> Vocabulary:
        """Picks them from {token: id}, which has all special tokens."""
        return cls(
            entries["[CLS]"],
            entries["[SEP]"],
            entries[MASK],
            np.array(list(entries.values()), np.int32),
        )


def _tokens(starts: np.ndarray, *_: object) -> np.ndarray:
    """Every piece by itself (Devlin et al. 2019)."""
    return np.ones(starts.shape, bool)


def _whole_words(starts: np.ndarray, *_: object) -> np.ndarray:
    """All pieces of a word together (the original's second models)."""
    return starts & WORD > 0


def _entities(starts: np.ndarray, *_: object) -> np.ndarray:
    """All words of an entity together, other words alone (Sun et al. 2019)."""
    return starts & ENTITY > 0


def _ngrams(
    starts: np.ndarray, keys: np.ndarray, settings: MaskingSettings
) -> np.ndarray:
    """Runs of words together; texts are parted into runs of drawn lengths."""
    is_word = starts & WORD > 0
    rows, width = starts.shape
    weights = np.cumsum(settings.ngram_weights)
    drawn = streams.uniforms(keys, width) * weights[-1]
    ends = np.cumsum(1 + np.searchsorted(weights, drawn, "right"), axis=1)
    begins_run = np.zeros((rows, width + 1), bool)
    begins_run[:, 0] = True
    np.put_along_axis(begins_run, np.minimum(ends, width), True, axis=1)
    begins_run[:, width] = False
    number_of_word = np.maximum(np.cumsum(is_word, axis=1) - 1, 0)
    return is_word & np.take_along_axis(begins_run, number_of_word, axis=1)


Strategy = Callable[[np.ndarray, np.ndarray, MaskingSettings], np.ndarray]

# By the name that --masking has for it: gets what begins at each token (uint8
# [N, S], see `words`) and keys, returns where units begin (bool [N, S]).
STRATEGIES: dict[str, Strategy] = {
    "token": _tokens,
    "whole_word": _whole_words,
    "ngram": _ngrams,
    "entity": _entities,
}
# Instead of one: no masks now, but what is needed to draw them in training.
NO_MASKS = "none"


def check_settings(settings: MaskingSettings, max_seq_length: int) -> None:
    """Checks numbers that come from flags.

    Raises:
        UserError: one is out of its range, or does not fit with another.
    """
    if not 0 < settings.masked_lm_prob <= 1:
        raise UserError(
            f"--masked_lm_prob={settings.masked_lm_prob} is not a part of the "
            "tokens; use a number above 0 and up to 1, such as 0.15"
        )
    if not 1 <= settings.max_predictions_per_seq <= max_seq_length:
        raise UserError(
            f"--max_predictions_per_seq={settings.max_predictions_per_seq} "
            f"does not fit into --max_seq_length={max_seq_length}; use about "
            "max_seq_length times masked_lm_prob, here "
            f"{max(1, round(max_seq_length * settings.masked_lm_prob))}"
        )
    weights = settings.ngram_weights
    if not weights or min(weights) < 0 or not sum(weights) > 0:
        raise UserError(
            f"--ngram_weights={','.join(map(str, weights))}: give how often "
            "1, 2, … words are hidden together, none below 0, such as "
            f"{','.join(map(str, NGRAM_WEIGHTS))}"
        )


def number_to_predict(
    lengths: np.ndarray, settings: MaskingSettings
) -> np.ndarray:
    """Returns how many tokens are chosen at most, int64 [N].

    Args:
        lengths: int [N], of the inputs with [CLS] and [SEP], which count.
        settings: how masks are drawn.
    """
    wanted = np.rint(lengths * settings.masked_lm_prob).astype(np.int64)
    return np.clip(wanted, 1, settings.max_predictions_per_seq)


@dataclasses.dataclass(frozen=True)
class Masked:
    """What masking makes of N inputs; P is max_predictions_per_seq.

    Attributes:
        input_ids: [N, S], some of them replaced.
        positions: int [N, P], ascending; 0 where there is no more.
        labels: [N, P], what stood there; 0 where there is no more.
        weights: float32 [N, P]; 1 where there is a prediction.
    """

    input_ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def mask(
    input_ids: np.ndarray,
    maskable: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    keys: np.ndarray,
    settings: MaskingSettings,
    vocabulary: Vocabulary,
) -> Masked:
    """Hides some of the tokens of each input.

    Args:
        input_ids: int [N, S].
        maskable: bool [N, S]; false at [CLS], [SEP] and padding. A unit
            never reaches across such a place.
        starts: uint8 [N, S]; what begins at each token.
        lengths: int [N], of the inputs with [CLS] and [SEP].
        keys: uint64 [N], the streams of chance.
        settings: how.
        vocabulary: for what comes instead.

    Returns:
        The inputs with masks, and what is to be predicted.
    """
    strategy = STRATEGIES[settings.strategy]
    starts = np.where(maskable, starts, np.uint8(0))
    begins = strategy(starts, streams.subkeys(keys, _UNITS), settings)
    begins[:, 1:] |= ~maskable[:, :-1]
    chosen = _choose(
        begins & maskable,
        maskable,
        number_to_predict(lengths, settings),
        streams.subkeys(keys, _PRIORITIES),
    )
    positions, present = _positions(chosen, settings.max_predictions_per_seq)
    labels = np.take_along_axis(input_ids, positions, axis=1) * present
    replaced = input_ids.copy()
    rows, places = np.nonzero(present)
    columns = positions[rows, places]
    replaced[rows, columns] = _replacements(
        labels, streams.subkeys(keys, _REPLACEMENTS), vocabulary
    )[rows, places]
    return Masked(replaced, positions, labels, present.astype(np.float32))


def _choose(
    begins: np.ndarray,
    maskable: np.ndarray,
    number: np.ndarray,
    keys: np.ndarray,
) -> np.ndarray:
    """Takes units in a random order, passing over those that do not fit.

    Args:
        begins: bool [N, S], where units begin; only where maskable.
        maskable: bool [N, S]; never at the first place of a row.
        number: int [N], the most tokens to choose.
        keys: uint64 [N].

    Returns:
        bool [N, S], the tokens chosen.
    """
    rows, width = begins.shape
    positions = np.arange(width, dtype=np.uint64)
    # The position in the low bits: sorting needs no second array then.
    order = streams.bits(keys, width) >> _POSITION_BITS << _POSITION_BITS
    order |= positions
    order[~begins] = np.iinfo(np.uint64).max
    order.sort(axis=1)
    most = int(begins.sum(axis=1).max(initial=0))
    first = (order[:, :most] & np.uint64((1 << 16) - 1)).astype(np.int64)
    valid = first < width
    first[~valid] = 0
    # A unit ends where the next begins, or where nothing can be masked.
    marks = np.flatnonzero(begins | ~maskable)
    lengths = np.diff(marks, append=rows * width)
    sizes = np.zeros((rows, width), np.int64)
    sizes.reshape(-1)[marks] = lengths
    accepted = fit_in_order(
        np.where(valid, np.take_along_axis(sizes, first, axis=1), width + 1),
        number,
    )
    chosen = np.zeros((rows, width), bool)
    chosen_rows, places = np.nonzero(accepted)
    chosen[chosen_rows, first[chosen_rows, places]] = True
    return np.repeat(chosen.reshape(-1)[marks], lengths).reshape(rows, width)


def fit_in_order(sizes: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Accepts what fits into the room left, going from left to right.

    Args:
        sizes: int [N, U], each at least 1.
        room: int [N].

    Returns:
        bool [N, U], as a loop would find that takes each if it still fits.
    """
    room = room.copy()
    accepted = np.zeros(sizes.shape, bool)
    candidates = sizes <= room[:, None]
    # In each round the first candidate of a row is accepted, and all behind
    # it up to the first that does not fit; that one never will.
    while candidates.any():
        taken = np.where(candidates, sizes, 0)
        fits = candidates & (np.cumsum(taken, axis=1) <= room[:, None])
        accepted |= fits
        room -= np.where(fits, sizes, 0).sum(axis=1)
        candidates &= ~fits & (sizes <= room[:, None])
    return accepted


def _positions(chosen: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where rows are true, int [N, most], and which of it counts."""
    rows, columns = np.nonzero(chosen)
    counts = np.bincount(rows, minlength=len(chosen))
    before = np.cumsum(counts) - counts
    positions = np.zeros((len(chosen), most), np.int64)
    positions[rows, np.arange(len(rows)) - before[rows]] = columns
    return positions, np.arange(most) < counts[:, None]


def _replacements(
    labels: np.ndarray, keys: np.ndarray, vocabulary: Vocabulary
) -> np.ndarray:
    """Draws 80/10/10 for each label by itself, [N, P]."""
    draws = streams.uniforms(keys, 3 * labels.shape[1])
    hide, keep, other = np.split(draws, 3, axis=1)
    entries = vocabulary.ids
    random_ids = entries[(other * len(entries)).astype(np.int64)]
    return np.where(
        hide < MASKED,
        vocabulary.mask_id,
        np.where(keep < KEPT_OF_REST, labels, random_ids),
    )
