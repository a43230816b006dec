"""The benchmarks' files, written as published but for their length."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable

import pytest

from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.glue import BENCHMARKS, find_benchmark, open_split
from bert_keras3.safekeeping.errors import UserError


def read(
    folder: pathlib.Path, task: str, split: str, name: str, content: str
) -> list[InputExample]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return list(open_split(find_benchmark(task), split, folder))


def test_cola(tmp_path: pathlib.Path) -> None:
    content = 'gj04\t1\t\t"Yes" is said.\nbc01\t0\t*\tHim ran.\n'
    for split in ("train", "dev"):
        assert read(tmp_path, "cola", split, f"{split}.tsv", content) == [
            InputExample(f"{split}-0", '"Yes" is said.', None, "1", 1),
            InputExample(f"{split}-1", "Him ran.", None, "0", 2),
        ]
    content = "index\tsentence\n0\tBill ran.\n"
    assert read(tmp_path, "CoLA", "test", "test.tsv", content) == [
        InputExample("test-1", "Bill ran.", None, None, 2)
    ]


def test_mrpc(tmp_path: pathlib.Path) -> None:
    content = (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
        '1\t7\t8\tHe said "no.\tHe said no.\n'
    )
    for split in ("train", "dev"):
        assert read(tmp_path, "MRPC", split, f"{split}.tsv", content) == [
            InputExample(f"{split}-1", 'He said "no.', "He said no.", "1", 2)
        ]
    content = content.replace("Quality", "index")
    assert read(tmp_path, "mrpc", "test", "test.tsv", content) == [
        InputExample("test-1", 'He said "no.', "He said no.", None, 2)
    ]


def test_mrpc_as_the_corpus_comes(
    tmp_path: pathlib.Path, untidy: Callable[[str], pathlib.Path]
) -> None:
    """In two files; the second is both the dev and the test part."""
    source = untidy("paraphrases.txt")
    lines = source.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "msr_paraphrase_train.txt").write_text("".join(lines), "utf-8")
    (tmp_path / "msr_paraphrase_test.txt").write_text(
        "".join(lines[:3]), "utf-8"
    )
    found = {
        split: list(open_split(find_benchmark("mrpc"), split, tmp_path))
        for split in ("train", "dev", "test")
    }
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 4,
        "dev": 2,
        "test": 2,
    }
    assert found["train"][2] == InputExample(
        "train-3",
        'The bridge opens in June," he said.',
        "In June the bridge will open, he said.",
        "1",
        4,
    )


def mnli(columns: int, label: str = "") -> str:
    names = [f"name{number}" for number in range(columns)]
    cells = [f"cell{number}" for number in range(columns)]
    if label:
        cells[-1] = label
    return "\t".join(names) + "\n" + "\t".join(cells) + "\n"


def test_mnli(tmp_path: pathlib.Path) -> None:
    for split, name, columns, label, prefix in (
        ("train", "train.tsv", 12, "neutral", "train"),
        ("dev", "dev_matched.tsv", 16, "entailment", "dev_matched"),
        ("test", "test_matched.tsv", 10, None, "test"),
    ):
        content = mnli(columns, label or "")
        assert read(tmp_path, "mnli", split, name, content) == [
            InputExample(f"{prefix}-cell0", "cell8", "cell9", label, 2)
        ]


def test_xnli(tmp_path: pathlib.Path) -> None:
    train = "premise\thypo\tlabel\n一\t二\tcontradictory\n三\t四\tneutral\n"
    name = "multinli/multinli.train.zh.tsv"
    assert read(tmp_path, "XNLI", "train", name, train) == [
        InputExample("train-1", "一", "二", "contradiction", 2),
        InputExample("train-2", "三", "四", "neutral", 3),
    ]
    dev = (
        "language\tgold_label\ta\tb\tc\td\tsentence1\tsentence2\te\n"
        "de\tneutral\t\t\t\t\tEins\tZwei\t\n"
        "zh\tentailment\t\t\t\t\t一\t二\t\n"
    )
    assert read(tmp_path, "xnli", "dev", "xnli.dev.tsv", dev) == [
        InputExample("dev-2", "一", "二", "entailment", 3)
    ]
    assert read(tmp_path, "xnli", "test", "xnli.test.tsv", dev) == [
        InputExample("test-2", "一", "二", None, 3)
    ]


def assert_labels(
    source: pathlib.Path, task: str, counts: dict[str, int]
) -> None:
    shutil.copy(source, source.parent / "dev.tsv")
    labels = [
        example.label
        for example in open_split(find_benchmark(task), "dev", source.parent)
    ]
    assert {label: labels.count(label) for label in counts} == counts
    assert len(labels) == sum(counts.values())


@pytest.mark.parametrize(
    ("task", "source", "counts"),
    [
        ("sst-2", "phrases.tsv", {"0": 2, "1": 2}),
        ("rte", "entailment.tsv", {"entailment": 2, "not_entailment": 2}),
        ("cola", "grammar.tsv", {"0": 3, "1": 5}),
    ],
)
def test_files_as_untidy_as_published_ones(
    untidy: Callable[[str], pathlib.Path],
    task: str,
    source: str,
    counts: dict[str, int],
) -> None:
    assert_labels(untidy(source), task, counts)


@pytest.mark.slow
def test_published_files(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for task, source, counts in (
        ("sst-2", "sst2_glue/dev.tsv", {"0": 428, "1": 444}),
        ("rte", "rte/dev.tsv", {"entailment": 146, "not_entailment": 131}),
        ("cola", "cola/in_domain_train.tsv", {"0": 2528, "1": 6023}),
        ("mrpc", "mrpc/msr_paraphrase_test.txt", {"0": 578, "1": 1147}),
    ):
        copy = tmp_path / "published"
        shutil.copy(shared / "datasets" / source, copy)
        assert_labels(copy, task, counts)


def test_the_test_parts_of_sst_2_and_rte(tmp_path: pathlib.Path) -> None:
    content = "index\tsentence\n0\tfine\n"
    assert read(tmp_path, "SST-2", "test", "test.tsv", content) == [
        InputExample("test-0", "fine", None, None, 2)
    ]
    content = "index\tsentence1\tsentence2\n0\tA\tB\n"
    assert read(tmp_path, "RTE", "test", "test.tsv", content) == [
        InputExample("test-0", "A", "B", None, 2)
    ]


def test_the_original_tasks_keep_their_labels_and_metrics() -> None:
    assert [(t.name, t.labels, t.metrics) for t in BENCHMARKS[:4]] == [
        ("CoLA", ("0", "1"), ("matthews_correlation",)),
        ("MRPC", ("0", "1"), ("accuracy", "f1")),
        ("MNLI", ("contradiction", "entailment", "neutral"), ("accuracy",)),
        ("XNLI", ("contradiction", "entailment", "neutral"), ("accuracy",)),
    ]


def test_an_unknown_task() -> None:
    with pytest.raises(UserError, match="--task_name=glue: there is no such"):
        find_benchmark("glue")


def test_missing_folders_and_files(tmp_path: pathlib.Path) -> None:
    task = find_benchmark("mrpc")
    with pytest.raises(UserError, match="there is no such folder"):
        open_split(task, "train", tmp_path / "none")
    with pytest.raises(UserError) as caught:
        open_split(task, "train", tmp_path)
    assert str(caught.value) == (
        f"--data_dir={tmp_path} has no train.tsv or msr_paraphrase_train.txt, "
        "the train part of MRPC."
    )


def test_a_label_that_the_task_lacks(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, "cola", "dev", "dev.tsv", "a\t1\t\tx\nb\t2\t\ty\n")
    assert str(caught.value) == (
        f"{tmp_path / 'dev.tsv'}, line 2: CoLA has no label '2', only 0, 1."
    )


def test_a_file_with_too_few_columns(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, "mrpc", "dev", "dev.tsv", "text\tlabel\nx\t1\n")
    assert str(caught.value) == (
        f"{tmp_path / 'dev.tsv'} has 2 columns; the dev part of MRPC has at "
        "least 5, with tabs between."
    )
