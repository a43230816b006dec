"""Text to token ids: the original's `tokenization.py`, and packing.

Imports no TensorFlow; `tokenization.in_graph`, the same tokenizer in a
TensorFlow graph, is therefore not imported here.
"""

from tokenization.characters import (
    convert_to_unicode,
    printable_text,
    whitespace_tokenize,
)
from tokenization.characters import (
    is_control as _is_control,
)
from tokenization.characters import (
    is_punctuation as _is_punctuation,
)
from tokenization.characters import (
    is_whitespace as _is_whitespace,
)
from tokenization.packing import Packed, pack, pad, truncate_seq_pair
from tokenization.tokenizers import (
    BasicTokenizer,
    FullTokenizer,
    WordpieceTokenizer,
)
from tokenization.vocab import (
    convert_by_vocab,
    convert_ids_to_tokens,
    convert_tokens_to_ids,
    find_vocab_file,
    guess_do_lower_case,
    load_vocab,
    require_special_tokens,
    validate_case_matches_checkpoint,
)

__all__ = [
    "BasicTokenizer",
    "FullTokenizer",
    "Packed",
    "WordpieceTokenizer",
    # Private in the original, too, and used by other people's code.
    "_is_control",
    "_is_punctuation",
    "_is_whitespace",
    "convert_by_vocab",
    "convert_ids_to_tokens",
    "convert_to_unicode",
    "convert_tokens_to_ids",
    "find_vocab_file",
    "guess_do_lower_case",
    "load_vocab",
    "pack",
    "pad",
    "printable_text",
    "require_special_tokens",
    "truncate_seq_pair",
    "validate_case_matches_checkpoint",
    "whitespace_tokenize",
]
