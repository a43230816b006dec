"""Pieces → text: where spaces stand is learnt from texts of the language.

WordPiece keeps no spaces, and `Ein T-Shirt .` is not how German is written.
Between two words there is a space; whether there is one beside a punctuation
mark is counted in the training texts, for each pair of neighbours. A mark that
opens and closes in turn, as " does, counts as two: the first, third, … of a
text and the second, fourth, …
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tokenization.characters import is_ideograph, is_punctuation
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import CONTINUATION

# Classes of pieces: words, ideographs, then two of each punctuation mark.
_WORD, _IDEOGRAPH, _FIRST_MARK = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Spacing:
    """Where spaces stand.

    Attributes:
        marks: the M punctuation marks of the texts.
        spaces: bool [K, K] with K = 2 + 2·M, whether a space stands between a
            piece of one class and a following one of another. Classes are
            words, ideographs, and of mark m the odd ones of a text, 2 + 2·m,
            and the even ones, 3 + 2·m.
    """

    marks: str
    spaces: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        rows = (
            "".join("01"[x] for x in row) for row in self.spaces.astype(int)
        )
        return {"marks": self.marks, "spaces": [*rows]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Spacing:
        """Returns what `to_dict` wrote.

        Raises:
            ValueError: the values are of another form.
        """
        spaces = np.array([[*map(int, row)] for row in values["spaces"]], bool)
        if spaces.shape != (2 + 2 * len(values["marks"]),) * 2:
            raise ValueError(f"spaces has shape {spaces.shape}")
        return cls(values["marks"], spaces)


def learn_spacing(texts: Iterable[str], tokenizer: FullTokenizer) -> Spacing:
    """Counts where spaces stand.

    Neighbours that never met are spaced as each of them is beside a word.

    Args:
        texts: of the language.
        tokenizer: of its vocabulary.
    """
    counts: collections.Counter[tuple[Any, Any, bool]] = collections.Counter()
    for text in texts:
        seen: collections.Counter[str] = collections.Counter()
        before = None
        # What white space separates is tokenized by itself.
        for chunk in text.split():
            for number, piece in enumerate(tokenizer.tokenize(chunk)):
                if piece.startswith(CONTINUATION):
                    continue
                kind: Any = _kind(piece)
                if isinstance(kind, str):
                    seen[kind] += 1
                    kind = kind, (seen[kind] - 1) % 2
                if before is not None:
                    counts[before, kind, number == 0] += 1
                before = kind
    kinds = {kind for pair in counts for kind in pair[:2]}
    marks = sorted({kind[0] for kind in kinds if isinstance(kind, tuple)})
    classes: list[Any] = [_WORD, _IDEOGRAPH]
    classes += [(mark, parity) for mark in marks for parity in (0, 1)]

    def has_space(left: Any, right: Any) -> bool | None:
        with_space = counts[left, right, True]
        without = counts[left, right, False]
        if not with_space + without:
            return None
        return with_space > without

    def decided(left: Any, right: Any) -> bool:
        found = has_space(left, right)
        if found is not None:
            return found
        beside = has_space(left, _WORD), has_space(_WORD, right)
        return all(one is not False for one in beside)

    spaces = [[decided(left, right) for right in classes] for left in classes]
    return Spacing("".join(marks), np.array(spaces, bool))


def _kind(piece: str) -> int | str:
    """Returns the class of a piece; of a punctuation mark, itself."""
    if len(piece) > 1:
        return _WORD
    if is_ideograph(piece):
        return _IDEOGRAPH
    return piece if is_punctuation(piece) else _WORD


class Detokenizer:
    """Token ids → text, in a graph or eagerly."""

    def __init__(
        self, tokens: Sequence[str], spacing: Spacing, hidden: Sequence[int]
    ) -> None:
        """Makes the tables.

        Args:
            tokens: the vocabulary, in the order of its ids.
            spacing: of the language.
            hidden: ids that are not shown, such as [SEP].
        """
        self._texts = [token.removeprefix(CONTINUATION) for token in tokens]
        for one in hidden:
            self._texts[one] = ""
        self._continues = np.array(
            [token.startswith(CONTINUATION) for token in tokens]
        )
        place = {mark: n for n, mark in enumerate(spacing.marks)}
        kinds = [_kind(token) for token in tokens]
        # A mark that the texts do not have is spaced as a word.
        self._classes = np.array(
            [
                _FIRST_MARK + 2 * place[kind]
                if kind in place
                else _IDEOGRAPH * (kind == _IDEOGRAPH)
                for kind in kinds
            ],
            np.int32,
        )
        self._spaces = spacing.spaces

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the texts.

        Args:
            ids: int32 [B, T].

        Returns:
            string [B].
        """
        ids = tf.convert_to_tensor(ids)
        length = tf.shape(ids)[1]
        # [B, T]: how often the same piece stands before.
        same = tf.cast(ids[:, :, None] == ids[:, None, :], tf.int32)
        before = tf.linalg.band_part(tf.ones([length, length], tf.int32), -1, 0)
        parity = (tf.reduce_sum(same * before, axis=2) - 1) % 2
        classes = tf.gather(tf.constant(self._classes), ids)
        classes += tf.where(classes >= _FIRST_MARK, parity, 0)
        # A continued word has the class of a word, whatever it ends with.
        classes = tf.where(
            tf.gather(tf.constant(self._continues), ids), _WORD, classes
        )
        table = tf.constant(self._spaces)
        pairs = tf.stack([classes[:, :-1], classes[:, 1:]], axis=-1)
        continues = tf.gather(tf.constant(self._continues), ids)[:, 1:]
        spaced = tf.gather_nd(table, pairs) & ~continues
        # [B, T]: nothing stands before the first.
        spaced = tf.pad(spaced, [[0, 0], [1, 0]])[:, :length]
        texts = tf.gather(tf.constant(self._texts, tf.string), ids)
        space = tf.where(spaced & (texts != ""), " ", "")
        # Behind a hidden first piece there is a space.
        return tf.strings.strip(tf.strings.reduce_join(space + texts, axis=1))
