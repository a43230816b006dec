"""The second half of the tokenizer: a word to pieces of the vocabulary.

Always takes the longest piece that fits next; which words there are is
decided before, in `tokenization.basic`.
"""

from __future__ import annotations

from collections.abc import Collection

from tokenization import characters

# What marks a piece that does not begin a word.
CONTINUATION = "##"
UNKNOWN = "[UNK]"
# In characters (Hugging Face stops at 100, tensorflow_text counts bytes).
MAX_CHARS_PER_WORD = 200


class WordpieceTokenizer:
    """Cuts words into the longest pieces that the vocabulary has.

    Args:
        vocab: the pieces, usually {piece: id}. Not to be changed afterwards.
        unk_token: stands for a word that cannot be cut without a rest.
        max_input_chars_per_word: a longer word is unknown without trying.
    """

    def __init__(
        self,
        vocab: Collection[str],
        unk_token: str = UNKNOWN,
        max_input_chars_per_word: int = MAX_CHARS_PER_WORD,
    ) -> None:
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word
        self._longest_piece = max(map(len, vocab), default=0) or 1

    def tokenize(self, text: str | bytes) -> list[str]:
        """Returns the pieces of every word of `text`.

        `unaffable` is cut into `un ##aff ##able` where these are the longest
        pieces that the vocabulary has.

        Args:
            text: words separated by whitespace, as `BasicTokenizer` gives
                them one by one.

        Raises:
            ValueError: `text` is neither a string nor bytes.
        """
        pieces: list[str] = []
        text = characters.convert_to_unicode(text)
        for word in characters.whitespace_tokenize(text):
            pieces.extend(self._cut(word) or (self.unk_token,))
        return pieces

    def _cut(self, word: str) -> list[str] | None:
        """Returns the pieces of one word; None if a rest matches nothing."""
        if len(word) > self.max_input_chars_per_word:
            return None
        pieces = []
        start = 0
        prefix = ""
        while start < len(word):
            # No piece is longer than the longest: a long word without a match
            # costs its length times that, not its length squared.
            end = min(len(word), start + self._longest_piece)
            while prefix + word[start:end] not in self.vocab:
                end -= 1
                if end <= start:
                    return None
            pieces.append(prefix + word[start:end])
            start = end
            prefix = CONTINUATION
        return pieces
