"""Logits of tokens → the best tags, which no scheme is broken by.

    allowed  O→O O→B B→I I→I I→O …  not O→I
    logits        O    B-X  I-X       argmax      Viterbi
    token 0       2.0  1.9  0.0       O           B-X
    token 1       0.0  0.0  5.0       I-X         I-X

What is best without a rule, and keeps it, is best with it. So each token has
its best tag at first; where two must not follow one another, their stretches
become one, whose best sequence the algorithm of Viterbi finds; until none is
left. Stretches are short, however long the text, and all of a round are
computed at once.
"""

from __future__ import annotations

import numpy as np

from bert_keras3.inputs.feature_store import ranges
from bert_keras3.tagging.schemes import TagSet

# The most numbers of back pointers held at once.
_ROOM = 1 << 24
# After so many rounds, sentences that are still broken are taken as a whole.
_ROUNDS = 20


def decode(
    logits: np.ndarray,
    offsets: np.ndarray,
    tags: TagSet,
    decoder: str = "viterbi",
) -> np.ndarray:
    """Returns the tag of each token.

    Args:
        logits: float [T, C].
        offsets: int [N + 1]; the tokens of sentence i are those from
            offsets[i] to offsets[i + 1].
        tags: the C tags.
        decoder: `viterbi`: the sequence with the greatest sum of logits among
            those that the scheme allows; `argmax`: each token's greatest.

    Returns:
        int64 [T], numbers of tags.
    """
    if decoder == "argmax" or not len(logits):
        return logits.argmax(-1)
    # What must not begin or end a sentence is never the best there.
    logits = logits.astype(np.float64)
    has_tokens = np.flatnonzero(np.diff(offsets))
    penalty = np.where(tags.allowed, 0.0, -np.inf)
    first = offsets[has_tokens]
    logits[first] += penalty[-1, :-1]
    logits[offsets[has_tokens + 1] - 1] += penalty[:-1, -1]
    between = penalty[:-1, :-1]

    best = logits.argmax(-1)
    # Where a stretch starts; at first, everywhere.
    is_start = np.ones(len(best), bool)
    is_first = np.zeros(len(best), bool)
    is_first[first] = True
    for number in range(_ROUNDS + 1):
        is_broken = np.append(False, between[best[:-1], best[1:]] < 0)
        broken = np.flatnonzero(is_broken & ~is_first)
        if not len(broken):
            break
        if number == _ROUNDS:
            sentences = np.unique(np.searchsorted(offsets, broken, "right") - 1)
            lengths = offsets[sentences + 1] - offsets[sentences]
            is_start[ranges(offsets[sentences], lengths)] = False
            is_start |= is_first
        is_start[broken] = False
        starts = np.flatnonzero(is_start)
        changed = np.unique(np.searchsorted(starts, broken, "right") - 1)
        ends = np.append(starts[1:], len(best))
        _solve(logits, best, starts[changed], ends[changed], between)
    return best


def _solve(
    logits: np.ndarray,
    best: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    between: np.ndarray,
) -> None:
    """Sets the best tags of some stretches, as many at once as there is room.

    Args:
        logits: float64 [T, C].
        best: int64 [T]; changed.
        starts: int [N], first token of each stretch.
        ends: int [N], the one behind its last.
        between: float64 [C, C], 0 where a tag may follow a tag, else −∞.
    """
    lengths = ends - starts
    # In the order of length, so that those of a group end together.
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    while len(starts):
        size = logits.shape[1] ** 2 + logits.shape[1] * int(lengths[0])
        count = max(1, _ROOM // size)
        tokens = ranges(starts[:count], lengths[:count])
        best[tokens] = _viterbi(logits[tokens], lengths[:count], between)
        starts, lengths = starts[count:], lengths[count:]


def _viterbi(
    logits: np.ndarray, lengths: np.ndarray, between: np.ndarray
) -> np.ndarray:
    """Returns the best tags of some stretches.

    Args:
        logits: float64 [T, C] of their tokens.
        lengths: int [N], not rising; each at least 1.
        between: float64 [C, C], see `_solve`.

    Returns:
        int64 [T].
    """
    first = np.cumsum(lengths) - lengths
    longest = int(lengths[0])
    # How many stretches have a token at each place.
    active = np.searchsorted(-lengths, -np.arange(longest), "left")
    # [N, C]
    scores = logits[first]
    back = []
    for place in range(1, longest):
        n = active[place]
        # [n, C, 1] + [C, C] -> [n, C before, C]
        reached = scores[:n, :, None] + between
        pointers = reached.argmax(1)
        back.append(pointers.astype(np.int16))
        reached_best = np.take_along_axis(reached, pointers[:, None], 1)[:, 0]
        scores[:n] = reached_best + logits[first[:n] + place]
    ids = np.empty(len(logits), np.int64)
    current = scores.argmax(1)
    for place in range(longest - 1, 0, -1):
        n = active[place]
        ids[first[:n] + place] = current[:n]
        current[:n] = back[place - 1][np.arange(n), current[:n]]
    ids[first] = current
    return ids
