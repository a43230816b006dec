"""GLUE and XNLI: files, columns, labels, metrics, submissions.

Each benchmark is one row: MRPC, for example, has its texts in columns 3 and 4
of `train.tsv` and its label, 0 or 1, in column 0. What the original read by
index is read so here, whatever the header says.
"""

from __future__ import annotations

from bert_keras3.inputs.benchmark import Benchmark, Split, Submission

_ENTAILMENT = ("entailment", "not_entailment")
_NLI = ("contradiction", "entailment", "neutral")

_PAIR_NAMES = {3: "#1 String", 4: "#2 String", 0: "Quality"}
_MNLI_TEXTS = {8: "sentence1", 9: "sentence2"}
_MNLI_NAMES = {**_MNLI_TEXTS, -1: "gold_label"}

_CUT_QUESTIONS = "the row is cut off, as a few are in the official file"

_AX_FILES = ("AX.tsv", "ax.tsv", "diagnostic.tsv", "diagnostic-full.tsv")


def _ax(*folders: str) -> Split:
    """The diagnostics: in a folder of their own, beside that of MNLI."""
    return Split(
        tuple(f"{folder}{name}" for folder in folders for name in _AX_FILES),
        ("sentence1", "Premise"),
        ("sentence2", "Hypothesis"),
        guid="index",
        submission=Submission("AX.tsv"),
    )


GLUE = (
    Benchmark(
        name="CoLA",
        labels=("0", "1"),
        metrics=("matthews_correlation",),
        # GLUE's parts, or the files that the corpus comes in.
        train=Split(
            ("train.tsv", "in_domain_train.tsv"), 3, label=1, header=False
        ),
        dev=Split(("dev.tsv", "in_domain_dev.tsv"), 3, label=1, header=False),
        test=Split(
            ("test.tsv",),
            1,
            named={1: "sentence"},
            submission=Submission("CoLA.tsv"),
        ),
    ),
    Benchmark(
        name="SST-2",
        labels=("0", "1"),
        metrics=("accuracy",),
        train=Split(("train.tsv", "train_full.tsv"), "sentence", label="label"),
        dev=Split(("dev.tsv",), "sentence", label="label"),
        test=Split(
            ("test.tsv", "test-labeled.tsv"),
            "sentence",
            guid="index",
            submission=Submission("SST-2.tsv"),
        ),
    ),
    Benchmark(
        name="MRPC",
        labels=("0", "1"),
        metrics=("accuracy", "f1"),
        # GLUE's parts, or the two files that the corpus comes in.
        train=Split(
            ("train.tsv", "msr_paraphrase_train.txt"),
            *(3, 4, 0),
            named=_PAIR_NAMES,
        ),
        dev=Split(
            ("dev.tsv", "msr_paraphrase_test.txt"),
            *(3, 4, 0),
            named=_PAIR_NAMES,
        ),
        test=Split(
            ("test.tsv", "msr_paraphrase_test.txt"),
            *(3, 4),
            named={3: "#1 String", 4: "#2 String"},
            submission=Submission("MRPC.tsv"),
        ),
    ),
    Benchmark(
        name="QQP",
        labels=("0", "1"),
        metrics=("accuracy", "f1"),
        train=Split(
            ("train.tsv",),
            *("question1", "question2", "is_duplicate"),
            guid="id",
            short_rows=_CUT_QUESTIONS,
        ),
        dev=Split(
            ("dev.tsv",),
            *("question1", "question2", "is_duplicate"),
            guid="id",
            short_rows=_CUT_QUESTIONS,
        ),
        test=Split(
            ("test.tsv",),
            *("question1", "question2"),
            guid="id",
            submission=Submission("QQP.tsv"),
        ),
    ),
    Benchmark(
        name="STS-B",
        labels=("score",),
        metrics=("pearson", "spearman"),
        score_range=(0, 5),
        # The second is the layout of STSb Multi MT.
        train=Split(
            ("train.tsv",),
            *("sentence1", "sentence2", "score"),
            guid="index",
            or_else=Split(
                ("stsb-{language}-train.csv",),
                *(0, 1, 2),
                header=False,
                delimiter="comma",
                quoting="double",
            ),
        ),
        dev=Split(
            ("dev.tsv",),
            *("sentence1", "sentence2", "score"),
            guid="index",
            or_else=Split(
                ("stsb-{language}-dev.csv",),
                *(0, 1, 2),
                header=False,
                delimiter="comma",
                quoting="double",
            ),
        ),
        test=Split(
            ("test.tsv",),
            *("sentence1", "sentence2"),
            guid="index",
            submission=Submission("STS-B.tsv"),
            or_else=Split(
                ("stsb-{language}-test.csv",),
                *(0, 1),
                header=False,
                delimiter="comma",
                quoting="double",
            ),
        ),
        language="en",
        folders=("stsb", "sstb"),
    ),
    Benchmark(
        name="MNLI",
        labels=_NLI,
        metrics=("accuracy",),
        train=Split(("train.tsv",), 8, 9, -1, guid=0, named=_MNLI_NAMES),
        dev=Split(
            ("dev_matched.tsv",),
            *(8, 9, -1),
            guid=0,
            guid_prefix="dev_matched",
            named=_MNLI_NAMES,
        ),
        test=Split(
            ("test_matched.tsv",),
            *(8, 9),
            guid=0,
            named=_MNLI_TEXTS,
            submission=Submission("MNLI-m.tsv"),
        ),
        further={
            "dev_mismatched": Split(
                ("dev_mismatched.tsv",), 8, 9, -1, guid=0, named=_MNLI_NAMES
            ),
            "test_mismatched": Split(
                ("test_mismatched.tsv",),
                *(8, 9),
                guid=0,
                named=_MNLI_TEXTS,
                submission=Submission("MNLI-mm.tsv"),
            ),
            "test_ax": _ax(
                *("", "../", "../AX/", "../ax/", "../diagnostic/"),
                *("../../AX/", "../../ax/"),
            ),
        },
    ),
    Benchmark(
        name="QNLI",
        labels=_ENTAILMENT,
        metrics=("accuracy",),
        train=Split(
            ("train.tsv",), "question", "sentence", "label", guid="index"
        ),
        dev=Split(("dev.tsv",), "question", "sentence", "label", guid="index"),
        test=Split(
            ("test.tsv",),
            *("question", "sentence"),
            guid="index",
            submission=Submission("QNLI.tsv"),
        ),
    ),
    Benchmark(
        name="RTE",
        labels=_ENTAILMENT,
        metrics=("accuracy",),
        train=Split(
            ("train.tsv",), "sentence1", "sentence2", "label", guid="index"
        ),
        dev=Split(
            ("dev.tsv",), "sentence1", "sentence2", "label", guid="index"
        ),
        test=Split(
            ("test.tsv",),
            *("sentence1", "sentence2"),
            guid="index",
            submission=Submission("RTE.tsv"),
        ),
    ),
    Benchmark(
        name="WNLI",
        labels=("0", "1"),
        metrics=("accuracy",),
        train=Split(
            ("train.tsv",), "sentence1", "sentence2", "label", guid="index"
        ),
        dev=Split(
            ("dev.tsv",), "sentence1", "sentence2", "label", guid="index"
        ),
        test=Split(
            ("test.tsv",),
            *("sentence1", "sentence2"),
            guid="index",
            submission=Submission("WNLI.tsv"),
        ),
    ),
)

# Not among those that make GLUE's average.
OTHERS = (
    Benchmark(
        name="AX",
        labels=_NLI,
        metrics=("accuracy",),
        test=_ax("", "AX/", "ax/", "diagnostic/"),
        model_of="MNLI",
    ),
    Benchmark(
        name="XNLI",
        labels=_NLI,
        metrics=("accuracy",),
        # As the archives have it, or one file for each part, as for ERNIE.
        train=Split(
            ("multinli/multinli.train.{language}.tsv",),
            *(0, 1, 2),
            or_else=Split(("train.tsv",), "text_a", "text_b", "label"),
        ),
        dev=Split(
            ("xnli.dev.tsv",),
            *(6, 7, 1),
            language=0,
            or_else=Split(("dev.tsv",), "text_a", "text_b", "label"),
        ),
        # The original read no test part; this one is written as the dev part.
        test=Split(
            ("xnli.test.tsv",),
            *(6, 7),
            language=0,
            or_else=Split(("test.tsv",), "text_a", "text_b"),
        ),
        renamed_labels={"contradictory": "contradiction"},
        language="zh",
    ),
)
