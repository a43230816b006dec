"""The settings of `fill_mask.py`. No library is imported here."""

from __future__ import annotations

import dataclasses

from bert_keras3.inputs.settings import FileChoices
from bert_keras3.safekeeping.settings import flag
from bert_keras3.training.settings import AskedModel

FILL_MASK = "fill_mask"
PSEUDO_LIKELIHOOD = "pseudo_likelihood"
NEXT_SENTENCE = "next_sentence"
AUGMENT = "augment"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(AskedModel):
    """What a pretrained model is asked."""

    task: str = flag(
        FILL_MASK,
        "Question to the model. fill_mask: the best words for each [MASK] of "
        "a text; pseudo_likelihood: how likely a text is, each of its tokens "
        "masked in turn; next_sentence: how likely the second text of a pair "
        "follows the first; augment: copies of a text, or a pair, in which "
        "random words are replaced by others that the model takes for likely "
        "there. next_sentence needs a model with the next-sentence head, the "
        "others one with the masked-LM head.",
        group="What to do",
        choices=(FILL_MASK, PSEUDO_LIKELIHOOD, NEXT_SENTENCE, AUGMENT),
    )
    text: str | None = flag(
        None,
        "A single text, instead of --input_file. Without both, texts are read "
        "from the standard input, one per line.",
        group="Data",
    )
    text_b: str | None = flag(
        None,
        "The second text of the pair whose first is --text.",
        group="Data",
        needs=("task=next_sentence", "task=augment"),
    )
    input_file: str | None = flag(
        None,
        "File of texts: CSV, TSV, JSON lines, Parquet or a spreadsheet, or a "
        ".txt file with a text on each line; compressed or not. Pairs are two "
        "columns.",
        group="Data",
        placeholder="FILE",
    )
    output_file: str | None = flag(
        None,
        "File for the answers; its ending decides the form: .jsonl for one "
        "JSON object per text, .csv or .tsv for one row per answer. By "
        "default they are printed as tables.",
        group="Output files",
        placeholder="FILE",
    )
    top_k: int = flag(
        5,
        "Number of words for each [MASK].",
        group="Evaluation and prediction",
        least=1,
        needs=("task=fill_mask",),
        unless=("candidates",),
    )
    candidates: tuple[str, ...] = flag(
        (),
        "Comma-separated words to choose from; each is answered with its "
        "probability. They may have several pieces. By default every word of "
        "the vocabulary is possible.",
        group="Evaluation and prediction",
        needs=("task=fill_mask",),
    )
    max_pieces: int = flag(
        1,
        "Maximum number of pieces (in Chinese, characters) of a word. With "
        "more than one, words of different lengths are ordered by the "
        "geometric mean of their pieces' probabilities.",
        group="Evaluation and prediction",
        least=1,
        needs=("task=fill_mask",),
        unless=("candidates",),
    )
    beam_size: int = flag(
        10,
        "Number of hypotheses that are followed in the search for words of "
        "several pieces, and for words that fit several [MASK] together. At "
        "least --top_k is taken.",
        group="Evaluation and prediction",
        least=1,
        needs=("task=fill_mask",),
    )
    num_copies: int = flag(
        20,
        "Number of copies of each text; those that are equal count once.",
        group="Evaluation and prediction",
        least=1,
        needs=("task=augment",),
    )
    replace_prob: float = flag(
        0.4,
        "Probability with which a word of a copy is replaced.",
        group="Evaluation and prediction",
        above=0,
        most=1,
        needs=("task=augment",),
    )
    num_candidates: int = flag(
        15,
        "Number of most likely words of which one replaces a word.",
        group="Evaluation and prediction",
        least=1,
        needs=("task=augment",),
    )
    seed: int = flag(
        12345,
        "Random seed of the words that are replaced.",
        group="Random numbers",
        aliases=("random_seed",),
        least=0,
        needs=("task=augment",),
    )
    max_seq_length: int | None = flag(
        None,
        "Maximum number of tokens that the model reads at a time, [CLS] and "
        "[SEP] included. Of longer texts it reads what is around the token in "
        "question. By default as many as the model has positions for.",
        group="Model inputs",
        least=3,
    )
    batch_size: int = flag(
        32,
        "Maximum number of rows that are computed at a time.",
        group="Speed and memory",
        least=1,
    )
    file: FileChoices = dataclasses.field(default_factory=FileChoices)
