"""What the commands that read raw text are told.

No library is loaded here, so that flags can be defined from these fields at
once. What of it contradicts what is found out in `checks`.
"""

from __future__ import annotations

import dataclasses

from bert_keras3.safekeeping.settings import flag

ORIGINAL = "original"
INDEPENDENT = "independent"

# How often 1, 2, 3 and 4 words are masked together: MacBERT (Cui et al. 2020,
# section 3.2). ALBERT's (Lan et al. 2020, section 4.1) would be 1, 1/2, 1/3.
NGRAM_WEIGHTS = (0.4, 0.3, 0.2, 0.1)


@dataclasses.dataclass(frozen=True)
class WordSettings:
    """What makes words and entities, beside `##`."""

    segmenter: str = flag(
        "none",
        "What joins Chinese characters into words for masking. jieba needs "
        "the package jieba (the extra chinese); with none, each character is "
        "a word of its own.",
        group="Words and masks",
        choices=("none", "jieba"),
    )
    word_list: str | None = flag(
        None,
        "Text file with a word on each line, such as Chinese words of "
        "several characters. Where they occur in the text, each is one word "
        "for masking; where several fit, the longest.",
        group="Words and masks",
    )
    entity_list: str | None = flag(
        None,
        "Text file with an entity on each line, such as a name of several "
        "words; with --masking=entity its words are masked together.",
        group="Words and masks",
    )

    @property
    def plain(self) -> bool:
        """Whether `##` alone tells the words."""
        return self == WordSettings()


@dataclasses.dataclass(frozen=True)
class MaskingSettings:
    """How masks are drawn."""

    strategy: str = flag(
        "token",
        "What is masked together. token: single WordPiece tokens; "
        "whole_word: whole words; ngram: several words in a row; entity: "
        "whole entities. create_pretraining_data masks single tokens by "
        "default; with none it masks nothing, so that run_pretraining can. "
        "run_pretraining takes the masks of the records by default; with one "
        "of the others it draws new ones while training.",
        group="Words and masks",
        name="masking",
        choices=("token", "whole_word", "ngram", "entity", "none"),
        found_out=True,
    )
    masked_lm_prob: float = flag(
        0.15,
        "Share of an input's tokens that are masked, [CLS] and [SEP] "
        "counted. Above 0, at most 1.",
        group="Words and masks",
    )
    max_predictions_per_seq: int = flag(
        20,
        "Largest number of tokens that are masked in an input; usually "
        "--max_seq_length times --masked_lm_prob.",
        group="Words and masks",
    )
    ngram_weights: tuple[float, ...] = flag(
        NGRAM_WEIGHTS,
        "With --masking=ngram: how often 1, 2, 3, … words are masked "
        "together, relative to each other; numbers separated by commas.",
        group="Words and masks",
    )


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """How text is read, by all commands that do."""

    do_lower_case: bool = flag(
        True,
        "Whether to lower-case the text and drop accents, as uncased models "
        "need it; false for cased models.",
        group="Data",
    )
    encoding: str | None = flag(
        None,
        "Character encoding of the text files, by its name in Python, such "
        "as utf-8 or gb18030. By default it is detected for each file.",
        group="Data",
    )
    num_workers: int = flag(
        1,
        "Number of processes that work at the same time.",
        group="Speed and memory",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(TextSettings):
    """What is made of which text."""

    input_files: tuple[str, ...]
    """The text, in order."""
    output_files: tuple[str, ...]
    """Where the records go; they are dealt out evenly."""
    vocab_file: str = flag(
        help="Vocabulary of the model: a vocab.txt, or a SentencePiece .model "
        "file as ALBERT has it.",
        group="Data",
        aliases=("spm_model_file",),
    )
    words: WordSettings = dataclasses.field(default_factory=WordSettings)
    """What makes words and entities."""
    masking: MaskingSettings = dataclasses.field(
        default_factory=MaskingSettings
    )
    """How masks are drawn."""
    sentence_objective: str = flag(
        "nsp",
        "What is to be predicted of pairs of texts. nsp: whether the second "
        "follows the first (next sentence prediction); sop: whether they are "
        "in order (sentence order prediction); none: nothing, each input is "
        "one text of whole sentences.",
        group="Inputs of the model",
        choices=("nsp", "sop", "none"),
    )
    max_seq_length: int = flag(
        128,
        "Number of tokens of an input, special tokens included.",
        group="Inputs of the model",
    )
    short_seq_prob: float = flag(
        0.1,
        "Probability that an input is made shorter than --max_seq_length, "
        "so that the model sees short inputs too. From 0 to 1.",
        group="Inputs of the model",
    )
    dupe_factor: int = flag(
        10,
        "How many times each document is used, with other masks and other "
        "pairs each time.",
        group="Words and masks",
        least=1,
    )
    random_seed: int = flag(
        12345,
        "Seed of all random numbers. The same seed gives the same files.",
        group="Words and masks",
    )
    random_streams: str | None = flag(
        None,
        "Order in which random numbers are drawn. original: that of the "
        "original script, whose records come out one by one, by one process; "
        "independent: the same records for any number of processes. By "
        "default original if there is one process and no flag asks for what "
        "the original does not have, else independent.",
        group="Words and masks",
        choices=(ORIGINAL, INDEPENDENT),
    )
    compression: str = flag(
        "none",
        "Compression of the TFRecord files.",
        group="Data",
        choices=("none", "GZIP"),
    )
    runner: str | None = flag(
        None,
        "Runner of Apache Beam, such as DirectRunner or FlinkRunner, that "
        "does the work instead of processes of this machine. All its workers "
        "must see the folders of the text and of the output.",
        group="Devices",
    )
    runner_options: tuple[str, ...] = flag(
        (),
        "Options of the Apache Beam pipeline, separated by commas, such as "
        "--direct_num_workers=4.",
        group="Devices",
    )


@dataclasses.dataclass(frozen=True)
class TextFlags:
    """Which text is read, by all commands that do."""

    input_file: str = flag(
        help="Text files: paths or patterns such as 'corpus/*.txt', "
        "separated by commas. A sentence on each line, an empty line between "
        "documents; .jsonl files have a document on each line.",
        group="What to do",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordFlags(TextFlags):
    """From which `Settings` are made: files, and the original's masking."""

    output_file: str = flag(
        help="TFRecord file to write. Several, separated by commas, get the "
        "records in turn.",
        group="What to do",
    )
    num_shards: int | None = flag(
        None,
        "Number of files to write; out.tfrecord then becomes "
        "out-00000-of-00010.tfrecord and so on. By default one file.",
        group="Data",
        least=1,
    )
    do_whole_word_mask: bool = flag(
        False, "The same as --masking=whole_word.", group="Words and masks"
    )


@dataclasses.dataclass(frozen=True)
class VocabularySettings:
    """What a vocabulary is to be like."""

    vocab_size: int = flag(
        30522,
        "Number of entries of a new vocabulary, all included.",
        group="Vocabulary",
        least=1,
    )
    special_tokens: tuple[str, ...] = flag(
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        "First entries of a new vocabulary, separated by commas.",
        group="Vocabulary",
    )
    num_unused: int = flag(
        100,
        "Number of entries [unused0], [unused1], … after the special tokens "
        "of a new vocabulary; words can be put in their place later.",
        group="Vocabulary",
        least=0,
    )
    min_frequency: int = flag(
        2,
        "Smallest number of times that a piece (or with --base_vocab_file a "
        "word) must occur in the text to become an entry.",
        group="Vocabulary",
        least=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyFlags(TextFlags):
    """Which vocabulary is made of which text."""

    output_file: str = flag(
        help="Vocabulary to write, with an entry on each line.",
        group="What to do",
    )
    base_vocab_file: str | None = flag(
        None,
        "Vocabulary of a trained model, in which new words of the text take "
        "the place of [unused] entries. By default a new vocabulary is "
        "learned.",
        group="What to do",
    )
    text: TextSettings = dataclasses.field(default_factory=TextSettings)
    vocabulary: VocabularySettings = dataclasses.field(
        default_factory=VocabularySettings
    )
