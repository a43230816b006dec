"""Logits of tokens → the best tags, which no scheme is broken by.

    allowed  O→O O→B B→I I→I I→O …  not O→I
    logits        O    B-X  I-X       argmax      Viterbi
    token 0       2.0  1.9  0.0       O           B-X
    token 1       0.0  0.0  5.0       I-X         I-X

Where argmax breaks nothing, it is the best sequence there is, so the
algorithm of Viterbi runs for the other sentences alone: all of them at once,
token by token.
"""

from __future__ import annotations

import numpy as np

from bert_keras3.inputs.feature_store import ranges
from bert_keras3.tagging.schemes import TagSet

DECODERS = ("viterbi", "argmax")
# The most numbers of back pointers held at once.
_ROOM = 1 << 24


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
    best = logits.argmax(-1)
    if decoder == "argmax":
        return best
    broken = np.unique(_sentences_broken(best, offsets, tags.allowed))
    # In the order of length, so that those of a group end together.
    lengths = np.diff(offsets)
    broken = broken[np.argsort(-lengths[broken], kind="stable")]
    size = max(1, logits.shape[1])
    while len(broken):
        count = max(1, _ROOM // (size * int(lengths[broken[0]])))
        group, broken = broken[:count], broken[count:]
        tokens = ranges(offsets[group], lengths[group])
        best[tokens] = _viterbi(logits[tokens], lengths[group], tags.allowed)
    return best


def _sentences_broken(
    ids: np.ndarray, offsets: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """Returns the numbers of sentences with a tag that must not follow."""
    edge = len(allowed) - 1
    lengths = np.diff(offsets)
    has_tokens = np.flatnonzero(lengths)
    before = np.full(len(ids), edge)
    before[1:] = ids[:-1]
    before[offsets[has_tokens]] = edge
    wrong = np.flatnonzero(~allowed[before, ids])
    last = ids[offsets[has_tokens + 1] - 1]
    open_ended = has_tokens[~allowed[last, edge]]
    inside = np.searchsorted(offsets, wrong, "right") - 1
    return np.concatenate([inside, open_ended])


def _viterbi(
    logits: np.ndarray, lengths: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """Returns the best allowed tags of some sentences.

    Args:
        logits: float [T, C] of their tokens.
        lengths: int [N], not rising; each at least 1.
        allowed: bool [C + 1, C + 1], see `TagSet.allowed`.

    Returns:
        int64 [T].
    """
    penalty = np.where(allowed, 0.0, -np.inf)
    begin, end, between = penalty[-1, :-1], penalty[:-1, -1], penalty[:-1, :-1]
    first = np.cumsum(lengths) - lengths
    longest = int(lengths[0])
    # How many sentences have a token at each place.
    active = np.searchsorted(-lengths, -np.arange(longest), "left")
    # [N, C]
    scores = logits[first].astype(np.float64) + begin
    back = []
    for place in range(1, longest):
        n = active[place]
        # [n, C, 1] + [C, C] -> [n, C before, C]
        reached = scores[:n, :, None] + between
        pointers = reached.argmax(1)
        back.append(pointers.astype(np.int16))
        best = np.take_along_axis(reached, pointers[:, None], 1)[:, 0]
        scores[:n] = best + logits[first[:n] + place]
    ids = np.empty(len(logits), np.int64)
    current = (scores + end).argmax(1)
    for place in range(longest - 1, 0, -1):
        n = active[place]
        ids[first[:n] + place] = current[:n]
        current[:n] = back[place - 1][np.arange(n), current[:n]]
    ids[first] = current
    return ids
