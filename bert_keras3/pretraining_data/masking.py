"""Which tokens are masked, and what replaces them: 15 %, of these 80/10/10.

One input, masked by whole words, with room for three predictions:

    before     [CLS] the man went to the  un    ##aff ##able store [SEP]
    after      [CLS] the man went to the [MASK] ##aff  moon  store [SEP]
    positions  6 7 8
    labels     un ##aff ##able
    weights    1 1 1

Of the three tokens that were chosen, one became [MASK] (probability 0.8), one
was left as it is (0.1) and one became a random entry of the vocabulary (0.1).

A strategy decides which tokens are chosen together, as one unit. Whole batches
are masked at once in NumPy, for files as well as for masks drawn in training;
`original_order` draws token by token, as the original does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from bert_keras3.pretraining_data import random_streams
from bert_keras3.pretraining_data.settings import (
    NGRAM_WEIGHTS,
    MaskingSettings,
)
from bert_keras3.pretraining_data.words import ENTITY, WORD
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges

MASK = "[MASK]"
# A chosen token becomes [MASK]; if not, it is kept; if not, it becomes a random
# entry of the vocabulary: 80/10/10.
MASK_PROBABILITY = 0.8
KEEP_PROBABILITY = 0.5

# Purposes of an instance's random streams.
_UNITS, _PRIORITIES, _REPLACEMENTS = range(3)
_POSITION_BITS = np.uint64(16)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The ids of a vocabulary that instances are made with.

    Attributes:
        cls_id: id of [CLS].
        sep_id: id of [SEP].
        mask_id: id of [MASK].
        ids: int32 [V]; a random replacement is one of these.
    """

    cls_id: int
    sep_id: int
    mask_id: int
    ids: np.ndarray

    @classmethod
    def of(cls, entries: Mapping[str, int]) -> Vocabulary:
        """Takes them from {token: id}, which has all special tokens."""
        return cls(
            entries["[CLS]"],
            entries["[SEP]"],
            entries[MASK],
            np.array(list(entries.values()), np.int32),
        )


def _tokens(starts: np.ndarray, *_: object) -> np.ndarray:
    """Every token by itself (Devlin et al. 2019)."""
    return np.ones(starts.shape, bool)


def _whole_words(starts: np.ndarray, *_: object) -> np.ndarray:
    """All tokens of a word together (the original's whole-word models)."""
    return starts & WORD > 0


def _entities(starts: np.ndarray, *_: object) -> np.ndarray:
    """All words of an entity together, other words alone (Sun et al. 2019)."""
    return starts & ENTITY > 0


def _ngrams(
    starts: np.ndarray, keys: np.ndarray, settings: MaskingSettings
) -> np.ndarray:
    """Several words together: the text is cut into runs of drawn lengths."""
    is_word = starts & WORD > 0
    rows, width = starts.shape
    weights = np.cumsum(settings.ngram_weights)
    drawn = random_streams.uniforms(keys, width) * weights[-1]
    ends = np.cumsum(1 + np.searchsorted(weights, drawn, "right"), axis=1)
    begins_run = np.zeros((rows, width + 1), bool)
    begins_run[:, 0] = True
    np.put_along_axis(begins_run, np.minimum(ends, width), True, axis=1)
    begins_run[:, width] = False
    number_of_word = np.maximum(np.cumsum(is_word, axis=1) - 1, 0)
    return is_word & np.take_along_axis(begins_run, number_of_word, axis=1)


Strategy = Callable[[np.ndarray, np.ndarray, MaskingSettings], np.ndarray]

# By the value of --masking: what begins at each token (uint8 [N, S]) and keys
# (uint64 [N]) -> where units begin (bool [N, S]).
STRATEGIES: dict[str, Strategy] = {
    "token": _tokens,
    "whole_word": _whole_words,
    "ngram": _ngrams,
    "entity": _entities,
}
# No strategy: records hold what is needed to draw masks while training.
NO_MASKS = "none"


def check_settings(settings: MaskingSettings, max_seq_length: int) -> None:
    """Checks the numbers among the settings.

    Raises:
        UserError: one is out of its range, or contradicts another.
    """
    check_ranges(settings)
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
            "1, 2, … words are masked together, none below 0, such as "
            f"{','.join(map(str, NGRAM_WEIGHTS))}"
        )


def number_to_predict(
    lengths: np.ndarray, settings: MaskingSettings
) -> np.ndarray:
    """Returns how many tokens are chosen at most, int64 [N].

    Args:
        lengths: int [N], of the inputs, [CLS] and [SEP] counted.
        settings: how masks are drawn.
    """
    wanted = np.rint(lengths * settings.masked_lm_prob).astype(np.int64)
    return np.clip(wanted, 1, settings.max_predictions_per_seq)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """N inputs of S tokens without masks.

    Attributes:
        input_ids: int [N, S].
        maskable: bool [N, S]; false at [CLS], [SEP] and padding. No unit
            extends past such a position.
        starts: uint8 [N, S]; what begins at each token, as in `words`.
        lengths: int [N]; without padding.
    """

    input_ids: np.ndarray
    maskable: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


@dataclasses.dataclass(frozen=True)
class Masked:
    """N inputs with masks; P is max_predictions_per_seq.

    Attributes:
        input_ids: int [N, S], some of them replaced.
        positions: int [N, P], of the predictions, ascending, then zeros.
        labels: int [N, P], the ids that were there before, then zeros.
        weights: float32 [N, P]; 1 for a prediction, then zeros.
    """

    input_ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def mask(
    inputs: Inputs,
    keys: np.ndarray,
    settings: MaskingSettings,
    vocabulary: Vocabulary,
) -> Masked:
    """Masks some tokens of each input.

    Args:
        inputs: N of them.
        keys: uint64 [N]; equal keys draw equal random numbers.
        settings: how masks are drawn.
        vocabulary: for the replacements.

    Returns:
        The inputs with masks, and what is to be predicted.
    """
    strategy = STRATEGIES[settings.strategy]
    maskable = inputs.maskable
    starts = np.where(maskable, inputs.starts, np.uint8(0))
    begins = strategy(starts, random_streams.subkeys(keys, _UNITS), settings)
    begins[:, 1:] |= ~maskable[:, :-1]
    chosen = _choose(
        begins & maskable,
        maskable,
        number_to_predict(inputs.lengths, settings),
        random_streams.subkeys(keys, _PRIORITIES),
    )
    positions, present = _positions(chosen, settings.max_predictions_per_seq)
    labels = np.take_along_axis(inputs.input_ids, positions, axis=1) * present
    replacements = _replacements(
        labels, random_streams.subkeys(keys, _REPLACEMENTS), vocabulary
    )
    input_ids = inputs.input_ids.copy()
    rows, places = np.nonzero(present)
    input_ids[rows, positions[rows, places]] = replacements[rows, places]
    return Masked(input_ids, positions, labels, present.astype(np.float32))


def _choose(
    begins: np.ndarray,
    maskable: np.ndarray,
    number: np.ndarray,
    keys: np.ndarray,
) -> np.ndarray:
    """Chooses units in a random order, passing over those that do not fit.

    Args:
        begins: bool [N, S], where units begin; only where maskable.
        maskable: bool [N, S]; false at the first token of each input.
        number: int [N], the most tokens to choose.
        keys: uint64 [N], of the random order.

    Returns:
        bool [N, S], the tokens chosen.
    """
    rows, width = begins.shape
    positions = np.arange(width, dtype=np.uint64)
    # Random numbers with the position in their low bits, so that sorting them
    # sorts the positions.
    order = random_streams.bits(keys, width) >> _POSITION_BITS << _POSITION_BITS
    order |= positions
    order[~begins] = np.iinfo(np.uint64).max
    order.sort(axis=1)
    most = int(begins.sum(axis=1).max(initial=0))
    first = (order[:, :most] & np.uint64((1 << 16) - 1)).astype(np.int64)
    valid = first < width
    first[~valid] = 0
    # A unit ends where the next one begins or nothing can be masked.
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
    """Accepts from left to right what fits into the room that is left.

    Args:
        sizes: int [N, U], each at least 1.
        room: int [N].

    Returns:
        bool [N, U], equal to a loop that accepts each size that still fits.
    """
    room = room.copy()
    accepted = np.zeros(sizes.shape, bool)
    candidates = sizes <= room[:, None]
    # In each round, every row accepts its candidates up to the first that does
    # not fit any more; that one is out for good.
    while candidates.any():
        taken = np.where(candidates, sizes, 0)
        fits = candidates & (np.cumsum(taken, axis=1) <= room[:, None])
        accepted |= fits
        room -= np.where(fits, sizes, 0).sum(axis=1)
        candidates &= ~fits & (sizes <= room[:, None])
    return accepted


def _positions(chosen: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where rows are true, int [N, most], and which entries are used.

    Args:
        chosen: bool [N, S], at most `most` true in a row.
        most: P.
    """
    rows, columns = np.nonzero(chosen)
    counts = np.bincount(rows, minlength=len(chosen))
    before = np.cumsum(counts) - counts
    positions = np.zeros((len(chosen), most), np.int64)
    positions[rows, np.arange(len(rows)) - before[rows]] = columns
    return positions, np.arange(most) < counts[:, None]


def _replacements(
    labels: np.ndarray, keys: np.ndarray, vocabulary: Vocabulary
) -> np.ndarray:
    """Draws 80/10/10 for each label by itself; ids [N, P]."""
    draws = random_streams.uniforms(keys, 3 * labels.shape[1])
    masked, kept, entry = np.split(draws, 3, axis=1)
    random_ids = vocabulary.ids[(entry * len(vocabulary.ids)).astype(np.int64)]
    return np.where(
        masked < MASK_PROBABILITY,
        vocabulary.mask_id,
        np.where(kept < KEEP_PROBABILITY, labels, random_ids),
    )
