"""The tokenizer in a TensorFlow graph, with the token ids of `FullTokenizer`.

    tokenizer = GraphTokenizer("vocab.txt")
    tokenizer.pack(tokenizer(["Unaffable!"]), max_seq_length=128)

Two operations of tensorflow_text do the work, with tables that are computed
from the Python tokenizer, so that its rules are written only once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text

from bert_keras3.safekeeping.errors import UserError
from tokenization import context_rules, normalizer_model, packing, vocab
from tokenization.added_tokens import (
    AddedToken,
    read_added_tokens,
    searched_for,
)
from tokenization.added_tokens_in_graph import AddedTokensInGraph
from tokenization.character_table import (
    UNKNOWN_CHAR,
    CharacterTable,
    character_table,
)
from tokenization.cleaning import expressions
from tokenization.tokenizers import (
    MAX_CHARS_PER_WORD,
    pieces_of,
    with_added,
)
from tokenization.vocab import CONTINUATION, UNKNOWN, Path

# A character takes up to four bytes.
_MAX_BYTES_PER_WORD = 4 * MAX_CHARS_PER_WORD
_TOO_LONG = f"[^ ]{{{MAX_CHARS_PER_WORD + 1},}}"
# What FastWordpiece's model can hold.
_MAX_BYTES_PER_PIECE = 256


class GraphTokenizer(tf.Module):
    """Text to WordPiece ids inside a graph.

    The ids are those of `FullTokenizer` for every text; both drop bytes that
    are not UTF-8, each on its own, as `bytes.decode("utf-8", "ignore")` does.

    Each character is replaced by what `BasicTokenizer` makes of it, with spaces
    around punctuation and ideographs (FastBertNormalize, with a table of our
    own); the resulting words are cut into pieces (FastWordpiece, over the
    vocabulary written in the same characters). Capital sigmas and marks, whose
    replacement depends on their neighbours, are rewritten before, in the few
    texts that have them.

    Tables and vocabulary are constants: a SavedModel with this module in it
    refers to no file. It is loaded after `import tensorflow_text`, which
    registers the operations TFText>FastBertNormalize and
    TFText>FastWordpieceTokenizeWithOffsets.

    Args:
        vocab_file: a `vocab.txt` or `tokenizer.json`.
        do_lower_case: fold case and drop accents.
        added_tokens: as for `FullTokenizer`.

    Attributes:
        cls_id: the id of [CLS]; None if the vocabulary has none.
        sep_id: the id of [SEP]; None if the vocabulary has none.

    Raises:
        UserError: the vocabulary cannot be read or used, or lacks [UNK].
    """

    def __init__(
        self,
        vocab_file: Path,
        do_lower_case: bool = True,
        added_tokens: Iterable[AddedToken] = (),
    ) -> None:
        super().__init__()
        self._set_up(
            vocab.load_vocab(vocab_file),
            do_lower_case,
            vocab_file,
            tuple(added_tokens),
        )

    @classmethod
    def open(
        cls, vocab_file: Path, do_lower_case: bool = True
    ) -> GraphTokenizer:
        """Returns the tokenizer of a vocabulary and of what is added to it.

        Args:
            vocab_file: as for the class; files beside it list added tokens.
            do_lower_case: as for the class.

        Raises:
            UserError: as for the class, or one of those files is damaged.
        """
        added = read_added_tokens(vocab_file, vocab.load_vocab(vocab_file))
        return cls(vocab_file, do_lower_case, added)

    @classmethod
    def from_vocab(
        cls,
        entries: Mapping[str, int] | Sequence[str],
        do_lower_case: bool = True,
        added_tokens: Iterable[AddedToken] = (),
    ) -> GraphTokenizer:
        """Returns a tokenizer for a vocabulary in memory.

        Args:
            entries: {token: id}, or tokens in the order of their ids.
            do_lower_case: fold case and drop accents.
            added_tokens: as for `FullTokenizer`.

        Raises:
            UserError: as for the class.
        """
        if not isinstance(entries, Mapping):
            entries = {token: index for index, token in enumerate(entries)}
        tokenizer = cls.__new__(cls)
        tf.Module.__init__(tokenizer)
        tokenizer._set_up(
            entries, do_lower_case, "vocabulary in memory", tuple(added_tokens)
        )
        return tokenizer

    def _set_up(
        self,
        entries: Mapping[str, int],
        do_lower_case: bool,
        source: Path,
        added_tokens: tuple[AddedToken, ...],
    ) -> None:
        everything = with_added(dict(entries), added_tokens)
        _check_vocab(everything, source)
        self.cls_id = everything.get("[CLS]")
        self.sep_id = everything.get("[SEP]")
        entries = pieces_of(dict(entries), added_tokens)
        self._added = self._fold = None
        sought = searched_for(added_tokens)
        if sought:
            self._added = AddedTokensInGraph(
                sought, set("".join(entries)), do_lower_case
            )
        if self._added and self._added.folding:
            self._fold = _normalizer(*self._added.folding)
        table = character_table(
            entries,
            do_lower_case and not self._fold,
            self._added.further if self._added else None,
        )
        _check_table(table, source)
        self._sigma = self._marks = None
        if do_lower_case:
            alphabet = table.alphabet
            if self._added:
                alphabet |= self._added.alphabet
            self._sigma = context_rules.sigma_context(alphabet)
            self._marks = context_rules.mark_context(alphabet)
        self._ordinary = f"[{_all_but(self._out_of_the_ordinary())}]*"
        self._normalizer = _normalizer(table.strings, table.string_of)
        pieces = table.pieces
        if self._added:
            size = max(everything.values()) + 1
            pieces += [f"[{id_}]" for id_ in range(len(pieces), size)]
            pieces += self._added.stand_ins
            self._id_of = np.array([*range(size), *self._added.ids], np.int32)
        self._wordpiece = tensorflow_text.FastWordpieceTokenizer(
            model_buffer=_constant(_wordpiece_model(pieces)),
            token_out_type=tf.int32,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids of texts.

        Args:
            text: string [N], UTF-8.

        Returns:
            Ragged int32 [N, None].
        """
        if self._added:
            text = self._added.replace(text)
        ordinary = tf.strings.regex_full_match(text, self._ordinary)
        text = tf.cond(
            tf.reduce_all(ordinary),
            lambda: text,
            lambda: self._settle_rows(text, tf.where(~ordinary)),
        )
        if self._added and self._fold:
            text = self._added.replace_folded(self._fold.normalize(text))
        text = self._normalizer.normalize(text)
        text = tf.strings.regex_replace(text, _TOO_LONG, UNKNOWN_CHAR)
        ids = self._wordpiece.tokenize(text)
        if self._added:
            ids = ids.with_values(tf.gather(self._id_of, ids.values))
        return ids

    def pack(
        self,
        ids_a: tf.RaggedTensor,
        ids_b: tf.RaggedTensor | None = None,
        *,
        max_seq_length: int,
    ) -> dict[str, tf.Tensor]:
        """Packs texts, or pairs of texts, into a batch for the model.

        Equal to `packing.pack` for each and `packing.pad` to the longest.

        Args:
            ids_a: ragged int32 [N, None], the first texts.
            ids_b: ragged int32 [N, None], the second texts.
            max_seq_length: the most ids that an input may have.

        Returns:
            `input_ids`, `input_mask` and `segment_ids`, each int32 [N, S], S
            being the length of the longest input of this batch.

        Raises:
            UserError: `max_seq_length` leaves no room for the texts, or the
                vocabulary lacks [CLS] or [SEP].
        """
        if self.cls_id is None or self.sep_id is None:
            raise UserError(
                "the vocabulary lacks [CLS] or [SEP], which packing needs; "
                "use the vocabulary that was published with the checkpoint"
            )
        packing.check_max_seq_length(max_seq_length, pair=ids_b is not None)
        if ids_b is None:
            ids_b = tf.zeros_like(ids_a[:, :0])
        length_a = tf.cast(ids_a.row_lengths(), tf.int32)[:, tf.newaxis]
        length_b = tf.cast(ids_b.row_lengths(), tf.int32)[:, tf.newaxis]
        special = tf.where(
            length_b > 0, packing.NUM_SPECIAL_PAIR, packing.NUM_SPECIAL_SINGLE
        )
        kept_a, kept_b = _truncated_lengths(
            length_a, length_b, max_seq_length - special
        )
        total = kept_a + kept_b + special  # [N, 1]
        longest = tf.maximum(tf.reduce_max(total), 0)
        position = tf.range(longest)[tf.newaxis, :]  # [1, S]
        position_b = position - kept_a - 2  # [N, S], behind [CLS] a [SEP]
        # One gather from all token ids that can occur in an input.
        source = tf.concat(
            [ids_a.values, ids_b.values, [self.cls_id, self.sep_id, 0]], 0
        )
        start_a = tf.cast(ids_a.row_starts(), tf.int32)[:, tf.newaxis]
        start_b = tf.cast(ids_b.row_starts(), tf.int32)[:, tf.newaxis]
        start_b += tf.size(ids_a.values)
        cls, sep, pad = (tf.size(source) - back for back in (3, 2, 1))
        where = tf.where(position < total, sep, pad)
        where = tf.where(
            (position_b >= 0) & (position_b < kept_b),
            start_b + position_b,
            where,
        )
        where = tf.where(position <= kept_a, start_a + position - 1, where)
        where = tf.where(position == 0, cls, where)
        return {
            "input_ids": tf.gather(source, where),
            "input_mask": tf.cast(position < total, tf.int32),
            "segment_ids": tf.cast(
                (position_b >= 0) & (position < total), tf.int32
            ),
        }

    def _out_of_the_ordinary(self) -> Iterable[str]:
        """Returns the characters whose replacement depends on neighbours."""
        chars: list[str] = []
        if self._sigma:
            chars.append(context_rules.CAPITAL_SIGMA)
        if self._marks:
            chars.extend(self._marks.classes)
            chars.extend(self._marks.composites)
        return chars

    def _settle_rows(self, text: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Rewrites some texts so that no character depends on neighbours.

        Args:
            text: string [N].
            rows: int64 [M, 1], the texts to rewrite.
        """
        some = tf.gather_nd(text, rows)
        composites = self._marks.composites if self._marks else {}
        for char, parts in composites.items():
            some = tf.strings.regex_replace(some, char, parts)
        decoded = tf.strings.unicode_decode(some, "UTF-8", errors="ignore")
        if self._sigma:
            decoded = _settle_sigmas(decoded, self._sigma)
        if self._marks:
            decoded = _sort_marks(decoded, self._marks)
        some = tf.strings.unicode_encode(decoded, "UTF-8")
        return tf.tensor_scatter_nd_update(text, rows, some)


def clean_in_graph(text: tf.Tensor, rules: Collection[str]) -> tf.Tensor:
    """Does what `cleaning.clean` does.

    Args:
        text: string [N].
        rules: some of `cleaning.RULES`; with none, the text stays as it is.

    Returns:
        string [N].
    """
    if rules:
        text = tf.strings.unicode_transcode(
            text, "UTF-8", "UTF-8", errors="ignore"
        )
    for expression, replacement in expressions(rules):
        text = tf.strings.regex_replace(text, expression, replacement)
    return text


def _check_vocab(entries: Mapping[str, int], source: Path) -> None:
    vocab.require_special_tokens(entries, source, [UNKNOWN])
    if max(entries.values()) >= vocab.MAX_VOCAB_SIZE:
        raise UserError(
            f"{os.fspath(source)}: ids go up to {max(entries.values())}; the "
            f"tokenizer in the graph has room for {vocab.MAX_VOCAB_SIZE}"
        )


def _check_table(table: CharacterTable, source: Path) -> None:
    if not table.alphabet:
        raise UserError(
            f"{os.fspath(source)}: no entry that a text could match; give "
            "the vocabulary that was published with the checkpoint"
        )
    for index, piece in enumerate(table.pieces):
        size = len(piece.removeprefix(CONTINUATION).encode())
        if size > _MAX_BYTES_PER_PIECE:
            raise UserError(
                f"{os.fspath(source)}: the entry with id {index} takes {size} "
                f"bytes, the tokenizer in the graph has room for "
                f"{_MAX_BYTES_PER_PIECE}; write [unused{index}] in its place"
            )


def _wordpiece_model(pieces: list[str]) -> bytes:
    """Returns the model for FastWordpiece, which splits at spaces."""
    no_pretokenization = support_detokenization = False
    model: bytes = tensorflow_text.build_fast_wordpiece_model(
        pieces,
        _MAX_BYTES_PER_WORD,
        CONTINUATION,
        UNKNOWN,
        no_pretokenization,
        support_detokenization,
    )
    return model


def _normalizer(
    strings: Sequence[str], string_of: np.ndarray
) -> tensorflow_text.FastBertNormalizer:
    """Returns the operation that replaces characters by a table."""
    return tensorflow_text.FastBertNormalizer(
        model_buffer=_constant(normalizer_model.build(strings, string_of))
    )


def _constant(data: bytes) -> tf.Tensor:
    """Returns bytes as uint8 on the CPU, where the operations run."""
    with tf.init_scope(), tf.device("CPU"):
        return tf.constant(np.frombuffer(data, np.uint8))


def _all_but(chars: Iterable[str]) -> str:
    """Returns a regular expression's character class without these characters.

    Surrogates are left out too: they are not valid UTF-8.
    """
    gaps = [(0xD800, 0xDFFF), *((ord(char), ord(char)) for char in chars)]
    ranges = []
    start = 0
    for first, last in (*sorted(gaps), (0x110000, 0x110000)):
        if start < first:
            ranges.append(f"\\x{{{start:x}}}-\\x{{{first - 1:x}}}")
        start = last + 1
    return "".join(ranges)


def _is_in(boundaries: np.ndarray, codes: tf.Tensor) -> tf.Tensor:
    """Returns whether code points belong to a set given by its boundaries."""
    return tf.searchsorted(boundaries, codes, side="right") % 2 == 1


def _settle_sigmas(
    text: tf.RaggedTensor, context: context_rules.SigmaContext
) -> tf.RaggedTensor:
    """Lower-cases every capital sigma to the final or the other form."""
    codes = text.values
    at = tf.where(~_is_in(context.passed_over, codes))
    # Without skipped characters, neighbours are adjacent.
    seen = tf.gather_nd(codes, at)
    row = tf.gather_nd(text.value_rowids(), at)
    cased = _is_in(context.cased, seen)
    same_row = row[1:] == row[:-1]
    behind_cased = tf.concat([[False], cased[:-1] & same_row], 0)
    before_cased = tf.concat([cased[1:] & same_row, [False]], 0)
    # The two have one element even for empty text.
    is_final = (behind_cased & ~before_cased)[: tf.size(seen)]
    sigma = tf.where(
        is_final, ord(context_rules.FINAL_SIGMA), ord(context_rules.SMALL_SIGMA)
    )
    seen = tf.where(seen == ord(context_rules.CAPITAL_SIGMA), sigma, seen)
    return text.with_values(tf.tensor_scatter_nd_update(codes, at, seen))


def _sort_marks(
    text: tf.RaggedTensor, context: context_rules.MarkContext
) -> tf.RaggedTensor:
    """Puts marks behind one base in the order of their classes."""
    codes = text.values
    marks = sorted(context.classes)
    mark_codes = tf.constant([ord(mark) for mark in marks])
    mark_classes = tf.constant([context.classes[mark] for mark in marks])
    which = tf.searchsorted(mark_codes, codes) % len(marks)
    at = tf.where(tf.gather(mark_codes, which) == codes)
    is_base = tf.cast(~_is_in(context.passed_over, codes), tf.int64)
    base = tf.gather_nd(tf.cumsum(is_base) + text.value_rowids(), at)
    mark_class = tf.gather(mark_classes, tf.gather_nd(which, at))
    order = tf.argsort(base * 256 + tf.cast(mark_class, tf.int64), stable=True)
    sorted_codes = tf.gather(tf.gather_nd(codes, at), order)
    return text.with_values(
        tf.tensor_scatter_nd_update(codes, at, sorted_codes)
    )


def _truncated_lengths(
    length_a: tf.Tensor, length_b: tf.Tensor, max_length: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `packing.truncated_lengths` does, for a batch."""
    kept_b = tf.minimum(
        length_b, tf.maximum(max_length // 2, max_length - length_a)
    )
    return tf.minimum(length_a, max_length - kept_b), kept_b
