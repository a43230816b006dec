"""CLUE's tasks of texts and pairs: files, keys, labels, submissions.

Files are JSON lines; the texts are put together as CLUE's own baselines do:

    TNEWS, IFLYTEK          sentence
    AFQMC, CMNLI, OCNLI     sentence1 | sentence2
    CSL                     keywords with spaces between | abstract
    CLUEWSC                 text, the first span between _, the pronoun in
                            brackets: 裂开的_伤口_很深，我把[它]洗净。
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bert_keras3.inputs.benchmark import Benchmark, Split, Submission

_NLI = ("contradiction", "entailment", "neutral")
_NO_MAJORITY = {"-": "the label is -: the annotators did not agree"}

# Where the diagnostics may lie, which a model of OCNLI predicts.
_BESIDE_OCNLI = ("", "../", "../diagnostics/", "../clue_diagnostics_public/")


def _parts(
    text_a: Any,
    text_b: str | None,
    submission: str,
    train: tuple[str, ...] = (),
    guid: tuple[str, ...] = ("id", "idx"),
) -> dict[str, Any]:
    """The three parts, which have the same keys.

    Args:
        text_a: key of the text or the first of two, or a function.
        text_b: key of the second text.
        submission: name of the file of predictions.
        train: further names of the training file.
        guid: keys of the identifier.
    """
    return {
        # The second names are those of FewCLUE and DataCLUE.
        "train": Split(
            ("train.json", "train_few_all.json", *train),
            text_a,
            text_b,
            "label",
        ),
        "dev": Split(("dev.json", "dev_few_all.json"), text_a, text_b, "label"),
        "test": _test(
            ("test.json", "test_public.json"), text_a, text_b, submission, guid
        ),
    }


def _test(
    files: tuple[str, ...],
    text_a: Any,
    text_b: str | None,
    submission: str,
    guid: tuple[str, ...] = ("id", "idx"),
    *,
    is_optional: bool = False,
) -> Split:
    return Split(
        files,
        text_a,
        text_b,
        guid=guid,
        submission=Submission(submission, ("id", "label"), is_optional),
    )


def marked_spans(record: Mapping[str, Any]) -> str:
    """Returns the text of an example of CLUEWSC with both spans marked.

    Args:
        record: `text`, and as `target` the `span1_text`, `span1_index`,
            `span2_text` and `span2_index`.

    Raises:
        ValueError: a key is missing, or a span does not stand at its index.
    """
    text, target = record.get("text"), record.get("target")
    if not isinstance(text, str) or not isinstance(target, Mapping):
        raise ValueError("'text' must be a text and 'target' an object")
    spans = []
    for name, marks in (("span1", ("_", "_")), ("span2", ("[", "]"))):
        span, start = target.get(f"{name}_text"), target.get(f"{name}_index")
        if not isinstance(span, str) or not isinstance(start, int):
            raise ValueError(
                f"'target' must have a text '{name}_text' and a whole number "
                f"'{name}_index'"
            )
        if start < 0 or text[start : start + len(span)] != span:
            raise ValueError(
                f"the {name}_text {span!r} does not stand at character "
                f"{start} of the text, as '{name}_index' says"
            )
        spans.append((start, start + len(span), marks))
    # From the end, so that the earlier index stays right.
    for start, end, (before, after) in sorted(spans, reverse=True):
        text = f"{text[:start]}{before}{text[start:end]}{after}{text[end:]}"
    return text


def joined_keywords(record: Mapping[str, Any]) -> str:
    """Returns the keywords of an example of CSL with spaces between.

    Raises:
        ValueError: there is no list of texts as `keyword`.
    """
    words = record.get("keyword")
    if not isinstance(words, list) or not all(
        isinstance(word, str) for word in words
    ):
        raise ValueError("'keyword' must be a list of texts")
    return " ".join(words)


CLUE = (
    Benchmark(
        name="AFQMC",
        labels=("0", "1"),
        metrics=("accuracy",),
        **_parts("sentence1", "sentence2", "afqmc_predict.json"),
        folders=("afqmcpublic",),
    ),
    Benchmark(
        name="TNEWS",
        labels=None,
        metrics=("accuracy",),
        **_parts("sentence", None, "tnews11_predict.json"),
        further={
            "test_1.0": _test(
                ("test1.0.json",),
                "sentence",
                None,
                "tnews10_predict.json",
                is_optional=True,
            )
        },
        labels_file="labels.json",
        folders=("tnewspublic",),
    ),
    Benchmark(
        name="IFLYTEK",
        labels=tuple(map(str, range(119))),
        metrics=("accuracy",),
        **_parts("sentence", None, "iflytek_predict.json"),
        folders=("iflytekpublic",),
    ),
    Benchmark(
        name="CMNLI",
        labels=_NLI,
        metrics=("accuracy",),
        **_parts("sentence1", "sentence2", "cmnli_predict.json"),
        skip_labels=_NO_MAJORITY,
        folders=("cmnlipublic",),
    ),
    Benchmark(
        name="OCNLI",
        labels=_NLI,
        metrics=("accuracy",),
        **_parts(
            "sentence1",
            "sentence2",
            "ocnli_50k_predict.json",
            tuple(f"train.{size}k.json" for size in (50, 30, 10, 3)),
        ),
        further={
            "test_diagnostics": _test(
                tuple(
                    f"{folder}diagnostics_test.json" for folder in _BESIDE_OCNLI
                ),
                "premise",
                "hypothesis",
                "diagnostics_predict.json",
                guid=("index",),
                is_optional=True,
            )
        },
        skip_labels=_NO_MAJORITY,
        folders=("ocnlipublic",),
    ),
    Benchmark(
        name="CLUEWSC",
        labels=("false", "true"),
        metrics=("accuracy",),
        **_parts(marked_spans, None, "cluewsc11_predict.json"),
        further={
            "test_1.0": _test(
                ("test1.0.json",),
                marked_spans,
                None,
                "cluewsc10_predict.json",
                is_optional=True,
            )
        },
        folders=("cluewsc2020", "cluewsc2020public", "cluewscpublic"),
    ),
    Benchmark(
        name="CSL",
        labels=("0", "1"),
        metrics=("accuracy",),
        **_parts(joined_keywords, "abst", "csl_predict.json"),
        folders=("cslpublic",),
    ),
)
