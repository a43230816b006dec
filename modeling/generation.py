"""The tokens that an `EncoderDecoder` finds most probable: greedy, beams.

A search is one loop of the graph. With the cache each step computes one token
of every beam, from the keys and values of the tokens before; without it, all
tokens again. Both give the same numbers, the first in less time.

    >>> settings = SearchSettings(begin_id=2, end_id=3)
    >>> lengths = ops.array([1, 7])  # ((5 + n) / 6)^0.6
    >>> print(ops.round(settings.penalty(lengths), 4).numpy())
    [1.     1.5157]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf
from keras import ops

from modeling.decoder import EncoderDecoder, KeysAndValues, Source
from modeling.shapes import Tensor

# The log probability of what may not be.
_NEVER = -1e9


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How target tokens are searched for.

    Attributes:
        begin_id: the token that stands before every target.
        end_id: the token that ends it.
        never: ids that no target has, such as padding.
        max_length: most tokens of a target, `end_id` included; a longer one
            ends there.
        beam_size: K, hypotheses that are followed; 1: greedy.
        length_penalty: α of Wu et al. 2016 (arXiv 1609.08144), section 7: the
            log probability of n tokens is divided by ((5 + n) / 6)^α.
        use_cache: whether keys and values are kept from step to step.
    """

    begin_id: int
    end_id: int
    never: tuple[int, ...] = ()
    max_length: int = 64
    beam_size: int = 1
    length_penalty: float = 0.6
    use_cache: bool = True

    def penalty(self, length: Tensor) -> Tensor:
        """Number of tokens → what its log probability is divided by."""
        return ((5.0 + ops.cast(length, "float32")) / 6.0) ** float(
            self.length_penalty
        )


def generate(
    model: EncoderDecoder,
    inputs: Mapping[str, Tensor],
    settings: SearchSettings,
) -> tuple[Tensor, Tensor]:
    """Searches for the most probable target of each source.

    Args:
        model: built.
        inputs: `input_ids` and `input_mask`, int32 [B, S].
        settings: of the search.

    Returns:
        ids, int32 [B, T], without `begin_id`; behind `end_id` there is
        nothing but `end_id`. And scores, float32 [B]: the log probability of
        each, divided by the penalty of its length.
    """
    search = _greedy if settings.beam_size == 1 else _beam_search
    return search(model, inputs, settings)


def _log_probabilities(
    model: EncoderDecoder,
    source: Source,
    ids: Tensor,
    past: Sequence[KeysAndValues],
    settings: SearchSettings,
) -> tuple[Tensor, list[KeysAndValues]]:
    """Returns ln P of the next token, float32 [B, K, V], and the new past.

    Args:
        model: built.
        source: of B texts.
        ids: int32 [B, K, T], all tokens so far.
        past: of all of them but the last.
        settings: of the search.
    """
    if settings.use_cache:
        logits, present = model.continued(
            ids[:, :, -1:], source, past, ops.shape(ids)[2] - 1
        )
    else:
        logits, _ = model.continued(ids, source, None, 0)
        present = list(past)
    logits = ops.cast(logits[:, :, -1], "float32")
    number = ops.arange(logits.shape[-1])
    if settings.never:
        # [V, 1], [n] -> [V]
        never = ops.any(
            ops.equal(number[:, None], ops.array(settings.never)), axis=1
        )
        logits = ops.where(never, _NEVER, logits)
    scores = ops.log_softmax(logits, axis=-1)
    # In the last step nothing but the end has a score.
    is_last = ops.shape(ids)[2] >= settings.max_length
    others = ops.not_equal(number, settings.end_id)
    return ops.where(ops.logical_and(is_last, others), _NEVER, scores), present


def _invariants(past: Sequence[KeysAndValues]) -> list[tuple[tf.TensorShape]]:
    """Returns the shapes that stay while the past grows."""
    return [
        tuple(
            tf.TensorShape([None, one.shape[1], None, one.shape[3]])
            for one in pair
        )
        for pair in past
    ]


def _greedy(
    model: EncoderDecoder,
    inputs: Mapping[str, Tensor],
    settings: SearchSettings,
) -> tuple[Tensor, Tensor]:
    """Takes the most probable token at each step."""
    source = model.read(inputs)
    batch = ops.shape(inputs["input_ids"])[0]
    ids = ops.full((batch, 1), settings.begin_id, "int32")
    past = model.decoder.no_past(batch)

    def is_open(ids: Tensor, ended: Tensor, *rest: Tensor) -> Tensor:
        return ops.logical_not(ops.all(ended))

    def step(
        ids: Tensor,
        ended: Tensor,
        total: Tensor,
        lengths: Tensor,
        past: Sequence[KeysAndValues],
    ) -> tuple[Tensor, ...]:
        # [B, 1, V] -> [B, V]
        scores, past = _log_probabilities(
            model, source, ids[:, None], past, settings
        )
        best = ops.cast(ops.argmax(scores[:, 0], axis=-1), "int32")
        gained = ops.max(scores[:, 0], axis=-1)
        total += ops.where(ended, 0.0, gained)
        lengths += ops.cast(ops.logical_not(ended), "int32")
        best = ops.where(ended, settings.end_id, best)
        ids = ops.concatenate([ids, best[:, None]], axis=1)
        ended = ops.logical_or(ended, ops.equal(best, settings.end_id))
        return ids, ended, total, lengths, past

    ids, _, total, lengths, _ = tf.while_loop(
        is_open,
        step,
        (
            ids,
            ops.zeros((batch,), "bool"),
            ops.zeros((batch,), "float32"),
            ops.zeros((batch,), "int32"),
            past,
        ),
        shape_invariants=(
            tf.TensorShape([None, None]),
            *(tf.TensorShape([None]) for _ in range(3)),
            _invariants(past),
        ),
        maximum_iterations=settings.max_length,
    )
    return ids[:, 1:], total / settings.penalty(lengths)


def _beam_search(
    model: EncoderDecoder,
    inputs: Mapping[str, Tensor],
    settings: SearchSettings,
) -> tuple[Tensor, Tensor]:
    """Follows the best K hypotheses until none can become the best."""
    source = model.read(inputs)
    batch, size = ops.shape(inputs["input_ids"])[0], settings.beam_size
    past = model.decoder.no_past(batch * size)
    # All beams begin alike, so that only the first counts.
    first = ops.concatenate(
        [ops.zeros((batch, 1)), ops.full((batch, size - 1), _NEVER)], axis=1
    )
    ids = ops.full((batch, size, 1), settings.begin_id, "int32")

    def is_open(
        ids: Tensor,
        scores: Tensor,
        best: Tensor,
        best_score: Tensor,
        *_: Tensor,
    ) -> Tensor:
        # A log probability only falls; the longest target divides it by most.
        reachable = scores[:, 0] / settings.penalty(settings.max_length)
        return ops.any(reachable > best_score)

    def step(
        ids: Tensor,
        scores: Tensor,
        best: Tensor,
        best_score: Tensor,
        past: Sequence[KeysAndValues],
    ) -> tuple[Tensor, ...]:
        gained, past = _log_probabilities(model, source, ids, past, settings)
        vocab_size = gained.shape[-1]
        # [B, K, 1] + [B, K, V] -> [B, K·V] -> [B, 2·K]
        total = ops.reshape(
            scores[:, :, None] + gained, (batch, size * vocab_size)
        )
        # Twice as many: no more than K of them end here.
        candidates, chosen = ops.top_k(total, 2 * size)
        tokens = ops.cast(chosen % vocab_size, "int32")
        parents = ops.cast(chosen // vocab_size, "int32")
        ended = ops.equal(tokens, settings.end_id)
        # The best that ends here, if it is better than the best so far.
        length = ops.shape(ids)[2]
        final = ops.where(ended, candidates, _NEVER) / settings.penalty(length)
        place = ops.argmax(final, axis=1)[:, None]
        ending = ops.concatenate(
            [
                _of_beams(ids, ops.take_along_axis(parents, place, axis=1)),
                ops.full((batch, 1, 1), settings.end_id, "int32"),
            ],
            axis=2,
        )[:, 0]
        score = ops.max(final, axis=1)
        best = ops.pad(best, [[0, 0], [0, 1]], constant_values=settings.end_id)
        best = ops.where((score > best_score)[:, None], ending, best)
        best_score = ops.maximum(score, best_score)
        # The best K that go on.
        scores, places = ops.top_k(ops.where(ended, _NEVER, candidates), size)
        parents = ops.take_along_axis(parents, places, axis=1)
        tokens = ops.take_along_axis(tokens, places, axis=1)
        ids = ops.concatenate(
            [_of_beams(ids, parents), tokens[:, :, None]], axis=2
        )
        # [B, K] -> [B·K]
        rows = ops.arange(batch)[:, None] * size + parents
        rows = ops.reshape(rows, (-1,))
        past = [
            tuple(ops.take(one, rows, axis=0) for one in pair) for pair in past
        ]
        return ids, scores, best, best_score, past

    _, _, best, best_score, _ = tf.while_loop(
        is_open,
        step,
        (ids, first, ids[:, 0], ops.full((batch,), _NEVER), past),
        shape_invariants=(
            tf.TensorShape([None, size, None]),
            tf.TensorShape([None, size]),
            tf.TensorShape([None, None]),
            tf.TensorShape([None]),
            _invariants(past),
        ),
        maximum_iterations=settings.max_length,
    )
    return best[:, 1:], best_score


def _of_beams(ids: Tensor, beams: Tensor) -> Tensor:
    """Ids [B, K, T] and beams [B, M] → the ids of those beams, [B, M, T]."""
    return ops.take_along_axis(ids, beams[:, :, None], axis=1)
