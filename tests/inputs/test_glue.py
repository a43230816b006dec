"""The benchmarks' files, written as published but for their length."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Callable

import pytest

from bert_keras3.inputs.benchmark_files import open_split, write_submission
from bert_keras3.inputs.benchmarks import (
    BENCHMARKS,
    COLLECTIONS,
    find_benchmark,
    find_folders,
)
from bert_keras3.inputs.examples import InputExample
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
    original = ("CoLA", "MRPC", "MNLI", "XNLI")
    assert [
        (t.name, t.labels, t.metrics) for t in BENCHMARKS if t.name in original
    ] == [
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


def test_a_header_where_there_is_none(tmp_path: pathlib.Path) -> None:
    content = "source\tlabel\tmark\tsentence\na\t1\t\tx\n"
    with pytest.raises(UserError) as caught:
        read(tmp_path, "cola", "dev", "dev.tsv", content)
    assert str(caught.value).startswith(
        f"{tmp_path / 'dev.tsv'}, line 1: is a header, since its label is "
        "'label'; the dev part of CoLA has none. Delete the line"
    )


def test_a_file_with_too_few_columns(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, "mrpc", "dev", "dev.tsv", "text\tlabel\nx\t1\n")
    assert str(caught.value) == (
        f"{tmp_path / 'dev.tsv'} has 2 columns; the dev part of MRPC has at "
        "least 5, with tabs between."
    )


def test_pairs_of_the_other_tasks(tmp_path: pathlib.Path) -> None:
    """Columns are found by their names, wherever they stand."""
    for task, header, row, label in (
        ("QNLI", "index\tquestion\tsentence\tlabel", "A\tB", "entailment"),
        ("WNLI", "index\tsentence1\tsentence2\tlabel", "A\tB", "0"),
        ("QQP", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "", "1"),
        ("STS-B", "index\tgenre\tsentence1\tsentence2\tscore", "", "3.800"),
    ):
        between = {"QQP": "8\t9\tA\tB", "STS-B": "news\tA\tB"}.get(task, row)
        content = f"{header}\n7\t{between}\t{label}\n"
        assert read(tmp_path, task, "dev", "dev.tsv", content) == [
            InputExample("dev-7", "A", "B", label, 2)
        ]
        names, cells = (
            line.rpartition("\t")[0] for line in content.splitlines()
        )
        content = f"{names}\n{cells}\n"
        assert read(tmp_path, task, "test", "test.tsv", content) == [
            InputExample("test-7", "A", "B", None, 2)
        ]


def test_mnli_has_further_parts(tmp_path: pathlib.Path) -> None:
    task = find_benchmark("MNLI")
    content = mnli(10)
    name = "test_mismatched.tsv"
    assert read(tmp_path, "MNLI", "test_mismatched", name, content) == [
        InputExample("test_mismatched-cell0", "cell8", "cell9", None, 2)
    ]
    assert task.find("test_ax", tmp_path) is None
    # The diagnostics lie in a folder beside.
    data = tmp_path / "MNLI"
    data.mkdir()
    content = "index\tsentence1\tsentence2\n0\tA\tB\n"
    assert read(tmp_path / "AX", "AX", "test", "AX.tsv", content) == [
        InputExample("test-0", "A", "B", None, 2)
    ]
    assert list(open_split(task, "test_ax", data)) == [
        InputExample("test_ax-0", "A", "B", None, 2)
    ]
    with pytest.raises(UserError, match="AX has no train part, only one to"):
        open_split(find_benchmark("ax"), "train", data)


def test_rows_of_qqp_that_are_cut_off(tmp_path: pathlib.Path) -> None:
    content = (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "1\t2\t3\tA\tB\t0\n4\t5\t6\tA\n7\t8\t9\tC\tD\t1\n"
    )
    rows = read(tmp_path, "QQP", "train", "train.tsv", content)
    assert [one.guid for one in rows] == ["train-1", "train-7"]
    file = open_split(find_benchmark("QQP"), "train", tmp_path)
    assert len(list(file)) == 2
    assert file.left_out == {
        "the row is cut off, as a few are in the official file": 1
    }
    with pytest.raises(UserError, match="line 4: 7 cells where 6 are expected"):
        read(
            tmp_path,
            "QQP",
            "train",
            "train.tsv",
            content.replace("C\tD", "C\tD\tE"),
        )


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        (
            "SST-2",
            "text\tlabel\nfine\t1\n",
            "line 1: there is no column sentence among text, label;",
        ),
        (
            # A file of CoLA, which has no header.
            "SST-2",
            "gj04\t1\t\tThis is a sentence, and no name.\n1\t2\t\tA\n",
            "line 1: there is no column sentence among gj04, 1, column 3, This",
        ),
        (
            "RTE",
            "index\tsentence1\tsentence2\n0\tA\tB\n",
            "line 1: there is no column label among index, sentence1, sent",
        ),
        (
            "MRPC",
            "Quality\t#1 String\t#2 String\t#1 ID\t#2 ID\n1\tA\tB\t7\t8\n",
            "line 1: column 4 is '#1 ID' and '#1 String' is column 2;",
        ),
        (
            "RTE",
            "index\tsentence1\tsentence2\tlabel\n0\tA\n",
            "line 2: 2 cells",
        ),
        (
            "STS-B",
            "sentence1\tsentence2\tscore\nA\tB\t2.5\nA\tB\t5.5\n",
            "line 3: the label of STS-B is a number from 0 to 5, and here '5",
        ),
    ],
)
def test_wrong_columns(
    tmp_path: pathlib.Path, task: str, content: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, task, "dev", "dev.tsv", content)
    assert str(caught.value).startswith(f"{tmp_path / 'dev.tsv'}, {message}")


def test_an_index_twice_in_a_test_file(tmp_path: pathlib.Path) -> None:
    content = "index\tsentence1\tsentence2\n0\tA\tB\n1\tC\tD\n0\tE\tF\n"
    with pytest.raises(UserError, match="line 4: the id '0' is that of line 2"):
        read(tmp_path, "WNLI", "test", "test.tsv", content)


def test_other_layouts(tmp_path: pathlib.Path) -> None:
    """STSb Multi MT and XNLI as for ERNIE; they are tried last."""
    content = '"A, a",B,2.5\nC,"D ""d""",0.0\n'
    assert read(tmp_path, "STS-B", "dev", "stsb-en-dev.csv", content) == [
        InputExample("dev-0", "A, a", "B", "2.5", 1),
        InputExample("dev-1", "C", 'D "d"', "0.0", 2),
    ]
    content = "text_a\ttext_b\tlabel\n一\t二\tneutral\n"
    assert read(tmp_path, "XNLI", "dev", "dev.tsv", content) == [
        InputExample("dev-1", "一", "二", "neutral", 2)
    ]


def submitted(
    task: str, folder: pathlib.Path, rows: list[tuple[str, str]]
) -> str:
    benchmark = find_benchmark(task)
    assert benchmark.test is not None
    submission = benchmark.test.submission
    assert submission is not None
    path = folder / submission.file
    write_submission(path, submission, rows, benchmark.score_range)
    assert path.name == f"{task}.tsv"
    return path.read_text("utf-8")


def test_submissions(tmp_path: pathlib.Path) -> None:
    rows = [("0", "not_entailment"), ("1", "entailment")]
    assert submitted("RTE", tmp_path, rows) == (
        "index\tprediction\n0\tnot_entailment\n1\tentailment\n"
    )
    rows = [("0", "5.2"), ("1", "-0.01"), ("2", "2.34567")]
    assert submitted("STS-B", tmp_path, rows) == (
        "index\tprediction\n0\t5.000\n1\t0.000\n2\t2.346\n"
    )


@pytest.mark.slow
def test_files_of_glue(shared: pathlib.Path) -> None:
    datasets = shared / "datasets"
    official = datasets / "glue_official_layout"
    numbers = {
        **{"CoLA": 1043, "SST-2": 872, "MRPC": 408, "STS-B": 1500},
        **{"QNLI": 5463, "RTE": 277},
    }
    found = find_folders(COLLECTIONS["glue"], official)
    assert numbers == {
        task: len(list(open_split(find_benchmark(task), "dev", folder)))
        for task, folder in found.items()
    }
    for task, folder in find_folders(
        COLLECTIONS["glue"], datasets / "format_fixtures" / "glue"
    ).items():
        for part, number in (("train", 3), ("dev", 2), ("test", 1)):
            rows = list(open_split(find_benchmark(task), part, folder))
            assert len(rows) == number, (task, part)
