"""Settings of the commands that read raw text, each with its flag.

No library is imported here, so that `--help` is shown at once. Contradictions
between settings are found by `checks`.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.inputs.settings import encoding_flag
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.settings import flag

ORIGINAL = "original"
INDEPENDENT = "independent"

# How often 1, 2, 3 and 4 words are masked together: MacBERT (Cui et al. 2020,
# section 3.2). ALBERT's (Lan et al. 2020, section 4.1) would be 1, 1/2, 1/3.
NGRAM_WEIGHTS = (0.4, 0.3, 0.2, 0.1)

# Where it matters what a word is.
MASKS_OF_WORDS = (
    "masking=whole_word",
    "masking=ngram",
    "masking=entity",
    "masking=none",
    "do_whole_word_mask",
)


@dataclasses.dataclass(frozen=True)
class WordSettings:
    """How words and entities are found, beside `##`."""

    segmenter: str = flag(
        "none",
        "Word segmenter for Chinese text, for masking whole words. jieba "
        "needs the package jieba; none: each Chinese character is a word of "
        "its own.",
        group="Words and entities",
        needs=MASKS_OF_WORDS,
        choices=("none", "jieba"),
    )
    word_list: str | None = flag(
        None,
        "Text file with one word per line, such as Chinese words of several "
        "characters. Where one of them occurs in the text, it is masked as "
        "one word; where several fit, the longest.",
        group="Words and entities",
        placeholder="FILE",
        needs=MASKS_OF_WORDS,
    )
    entity_list: str | None = flag(
        None,
        "Text file with one entity per line, such as a name of several words; "
        "with --masking=entity all words of an entity are masked together.",
        group="Words and entities",
        placeholder="FILE",
        needs=("masking=entity", "masking=none"),
    )

    @property
    def plain(self) -> bool:
        """Whether `##` alone marks the words."""
        return self == WordSettings()


@dataclasses.dataclass(frozen=True)
class MaskingSettings:
    """How masks are drawn."""

    strategy: str = flag(
        "token",
        "Which tokens are masked together. token: each WordPiece token alone; "
        "whole_word: all tokens of a word; ngram: several consecutive words; "
        "entity: all words of an entity; none (create_pretraining_data only): "
        "nothing is masked, so that run_pretraining can draw the masks. By "
        "default create_pretraining_data uses token, and run_pretraining "
        "keeps the masks in the records. Given to run_pretraining, it draws "
        "new masks in every epoch for records made with --masking=none.",
        group="Masking",
        name="masking",
        choices=("token", "whole_word", "ngram", "entity", "none"),
        found_out=True,
    )
    masked_lm_prob: float = flag(
        0.15,
        "Fraction of the tokens of an input that are masked, counting [CLS] "
        "and [SEP]. run_pretraining uses it only with --masking.",
        group="Masking",
        above=0,
        most=1,
        hint="0.15 is usual",
    )
    max_predictions_per_seq: int = flag(
        20,
        "Maximum number of masked tokens per input, usually --max_seq_length "
        "times --masked_lm_prob.",
        group="Masking",
    )
    ngram_weights: tuple[float, ...] = flag(
        NGRAM_WEIGHTS,
        "Relative frequencies with which 1, 2, 3, … consecutive words are "
        "masked together, as comma-separated numbers; only with "
        "--masking=ngram.",
        group="Masking",
        needs=("masking=ngram",),
    )


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """How text is read; for all commands that read text."""

    do_lower_case: bool = flag(
        True,
        "Convert the text to lower case and strip accents, as uncased models "
        "require. For cased models give --nodo_lower_case.",
        group="Data",
    )
    encoding: str | None = encoding_flag("Data")
    num_workers: int = flag(
        1,
        "Number of processes that work in parallel.",
        group="Speed and memory",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(TextSettings, RunnerFlags):
    """Settings of a preparation of records."""

    input_files: tuple[str, ...]
    """Text files, in order."""
    output_files: tuple[str, ...]
    """TFRecord files; the records are distributed evenly among them."""
    vocab_file: str = flag(
        help="Vocabulary file: vocab.txt, or a SentencePiece .model file as "
        "ALBERT has.",
        group="What to do",
        placeholder="FILE",
        aliases=("spm_model_file",),
    )
    words: WordSettings = dataclasses.field(default_factory=WordSettings)
    """How words and entities are found."""
    masking: MaskingSettings = dataclasses.field(
        default_factory=MaskingSettings
    )
    """How masks are drawn."""
    sentence_objective: str = flag(
        "nsp",
        "Objective for pairs of texts. nsp: next sentence prediction, whether "
        "the second text follows the first; sop: sentence order prediction, "
        "whether the two are in order; none: no pairs, each input is one text "
        "of whole sentences.",
        group="Model inputs",
        choices=("nsp", "sop", "none"),
    )
    max_seq_length: int = flag(
        128,
        "Maximum sequence length: number of tokens per input, special tokens "
        "included.",
        group="Model inputs",
    )
    short_seq_prob: float = flag(
        0.1,
        "Probability that an input is made shorter than --max_seq_length, "
        "down to a random length, so that the model sees short inputs too.",
        group="Model inputs",
        least=0,
        most=1,
    )
    dupe_factor: int = flag(
        10,
        "Number of times that each document is used, each time with other "
        "masks and other pairs.",
        group="Model inputs",
        least=1,
    )
    random_seed: int = flag(
        12345,
        "Random seed. The same seed and the same flags give the same files.",
        group="Random numbers",
        aliases=("seed",),
    )
    random_streams: str | None = flag(
        None,
        "How random numbers are drawn. original: in the order of "
        "google-research/bert, by one process, which gives exactly its "
        "records; independent: for each document separately, which gives the "
        "same records for any number of processes. By default original for "
        "one process, unless a flag asks for what google-research/bert lacks; "
        "otherwise independent.",
        group="Random numbers",
        choices=(ORIGINAL, INDEPENDENT),
    )
    compression: str = flag(
        "none",
        "Compression of the TFRecord files.",
        group="Output files",
        choices=("none", "GZIP"),
    )


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """The text; for all commands that read text."""

    input_file: str = flag(
        help="Text files: comma-separated paths or glob patterns, such as "
        "'corpus/*.txt'. Each line is a sentence, and an empty line ends a "
        "document. In .jsonl files each line is an object with one sentence "
        'instead, such as {"text": "Ada wrote.", "entities": [[0, 3]]}.',
        group="What to do",
        placeholder="FILES",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordFlags(TextFlags):
    """Flags that become fields of `Settings`: files, the original's masking."""

    output_file: str = flag(
        help="TFRecord file to write. Several comma-separated files get the "
        "records in turn.",
        group="What to do",
        placeholder="FILE",
    )
    num_shards: int | None = flag(
        None,
        "Number of files to write; out.tfrecord then becomes "
        "out-00000-of-00010.tfrecord and so on. By default the files are "
        "named as --output_file says.",
        group="Output files",
        least=1,
    )
    do_whole_word_mask: bool = flag(
        False,
        "The same as --masking=whole_word.",
        group="Compatibility with google-research/bert",
    )


@dataclasses.dataclass(frozen=True)
class VocabularySettings:
    """Sizes and special tokens of a vocabulary."""

    vocab_size: int = flag(
        30522,
        "Vocabulary size: total number of entries of a new vocabulary.",
        group="Vocabulary",
        unless=("base_vocab_file",),
        least=1,
    )
    special_tokens: tuple[str, ...] = flag(
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        "Special tokens, comma-separated; they are the first entries of a new "
        "vocabulary.",
        group="Vocabulary",
        unless=("base_vocab_file",),
    )
    num_unused: int = flag(
        100,
        "Number of placeholders [unused0], [unused1], … after the special "
        "tokens of a new vocabulary; other words can replace them later.",
        group="Vocabulary",
        unless=("base_vocab_file",),
        least=0,
    )
    min_frequency: int = flag(
        2,
        "Minimum number of times that a token (with --base_vocab_file, a "
        "word) must occur in the text to become an entry.",
        group="Vocabulary",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyFlags(TextFlags):
    """Settings of `create_vocab`: text in, vocabulary out."""

    output_file: str = flag(
        help="Vocabulary file to write, with one entry per line.",
        group="What to do",
        placeholder="FILE",
    )
    base_vocab_file: str | None = flag(
        None,
        "Vocabulary file of a trained model, whose [unused] entries are "
        "replaced by new words from the text. By default a new vocabulary is "
        "learned.",
        group="What to do",
        placeholder="FILE",
    )
    text: TextSettings = dataclasses.field(default_factory=TextSettings)
    vocabulary: VocabularySettings = dataclasses.field(
        default_factory=VocabularySettings
    )
