"""The whole job: text in, records out."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.parallel_work.workers import Progress
from bert_keras3.pretraining_data import independent_order, preparation
from bert_keras3.pretraining_data.checks import (
    output_paths,
    resolve,
    shard_paths,
    strategy,
)
from bert_keras3.pretraining_data.settings import (
    MaskingSettings,
    Settings,
    WordSettings,
)
from bert_keras3.safekeeping.errors import UserError

WORDS = "the sun moon sea rises sets over un ##happ ##y 日 月 海".split()  # noqa: SIM905
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


@pytest.fixture
def text(tmp_path: pathlib.Path) -> Settings:
    """Twelve documents, the settings for them."""
    rng = np.random.default_rng(0)
    words = [word for word in WORDS if not word.startswith("##")] + ["unhappy"]
    documents = [
        "\n".join(
            " ".join(rng.choice(words, rng.integers(3, 9)))
            for _ in range(rng.integers(2, 7))
        )
        for _ in range(12)
    ]
    (tmp_path / "text.txt").write_text("\n\n".join(documents), "utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", "utf-8")
    return Settings(
        input_files=(str(tmp_path / "text.txt"),),
        output_files=(str(tmp_path / "out.tfrecord"),),
        vocab_file=str(tmp_path / "vocab.txt"),
        masking=MaskingSettings(max_predictions_per_seq=5),
        max_seq_length=32,
        dupe_factor=3,
    )


def prepare(settings: Settings, **changes: Any) -> preparation.Outcome:
    warnings.clear()
    return preparation.prepare(
        dataclasses.replace(settings, **changes), Progress(), warnings.append
    )


warnings: list[str] = []


def parsed(path: str) -> list[dict[str, list[int]]]:
    import tensorflow as tf

    found = records.open_records(path)
    rows = []
    for number in range(len(found)):
        features = tf.train.Example.FromString(found[number]).features.feature
        rows.append(
            {
                key: list(value.int64_list.value or value.float_list.value)
                for key, value in features.items()
            }
        )
    return rows


@pytest.mark.parametrize("streams", ["original", "independent"])
@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
def test_equal_text_gives_equal_records_whatever_its_encoding(
    text: Settings, streams: str, encoding: str
) -> None:
    (output,) = text.output_files
    path = pathlib.Path(text.input_files[0])
    # A lone ideograph between ASCII looks like damage.
    content = re.sub("([日月海])", r"\1\1", path.read_text("utf-8"))
    path.write_text(content, "utf-8")
    prepare(text, random_streams=streams)
    expected = pathlib.Path(output).read_bytes()
    path.write_text(content, encoding)
    for given in (None, encoding):
        pathlib.Path(output).unlink()
        prepare(text, random_streams=streams, encoding=given)
        assert pathlib.Path(output).read_bytes() == expected
        reported = [line for line in warnings if f"{path}: " in line]
        assert len(reported) == (given is None)


def outputs(settings: Settings) -> list[bytes]:
    return [pathlib.Path(path).read_bytes() for path in settings.output_files]


def left_over(settings: Settings) -> list[str]:
    folder = pathlib.Path(settings.output_files[0]).parent
    return sorted(
        path.name for path in folder.iterdir() if path.suffix == ".work"
    )


@pytest.mark.parametrize("compression", records.COMPRESSIONS)
def test_files_do_not_depend_on_the_workers(
    text: Settings, tmp_path: pathlib.Path, compression: str
) -> None:
    settings = dataclasses.replace(
        text,
        random_streams="independent",
        compression=compression,
        output_files=shard_paths(str(tmp_path / "a.tfrecord"), 3),
    )
    first = prepare(settings)
    alone = outputs(settings)
    second = prepare(settings, num_workers=2)
    assert outputs(settings) == alone
    assert first == second
    assert first.num_documents == 12
    counts = [len(records.open_records(path)) for path in settings.output_files]
    assert sum(counts) == first.num_instances
    assert min(counts) > 5
    assert not left_over(settings)
    other = prepare(settings, random_seed=1)
    assert outputs(settings) != alone
    assert other.num_documents == 12


def test_pieces_make_the_same_records(
    text: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(text, random_streams="independent")
    whole = sorted(map(repr, parsed(text.output_files[0])))
    monkeypatch.setattr(independent_order, "_TOKENS_IN_PIECE", 50)
    prepare(text, random_streams="independent")
    assert sorted(map(repr, parsed(text.output_files[0]))) == whole


def test_an_interrupted_job_goes_on(
    text: Settings, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independent_order, "_TOKENS_IN_PIECE", 200)
    settings = dataclasses.replace(
        text,
        random_streams="independent",
        output_files=shard_paths(str(tmp_path / "a.tfrecord"), 2),
    )
    prepare(settings)
    expected = outputs(settings)
    for path in settings.output_files:
        pathlib.Path(path).write_bytes(b"old")
    done: list[int] = []
    write = independent_order.write_piece

    def write_or_stop(piece: independent_order.Piece) -> tuple[int, int]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(piece.number)
        return write(piece)

    monkeypatch.setattr(independent_order, "write_piece", write_or_stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(settings)
    assert left_over(settings)
    # What was there before is there still.
    assert outputs(settings) == [b"old", b"old"]

    def write_the_rest(piece: independent_order.Piece) -> tuple[int, int]:
        assert piece.number not in done
        return write(piece)

    monkeypatch.setattr(independent_order, "write_piece", write_the_rest)
    prepare(settings)
    assert outputs(settings) == expected
    assert not left_over(settings)


def test_another_job_does_not_go_on_with_unfinished_work(
    text: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(text, random_streams="independent", dupe_factor=1)
    expected = outputs(text)

    def stop(piece: independent_order.Piece) -> tuple[int, int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(independent_order, "write_piece", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(text, random_streams="independent", random_seed=5)
    assert left_over(text)
    prepare(text, random_streams="independent", dupe_factor=1)
    assert outputs(text) == expected


def test_an_edited_text_is_another_job(
    text: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pathlib.Path(text.input_files[0])
    before = path.read_text("utf-8")

    def stop(piece: independent_order.Piece) -> tuple[int, int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(independent_order, "write_piece", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(text, random_streams="independent")
    # Of the same size and time.
    times = os.stat(path)
    path.write_text(before.replace("sun", "sea"), "utf-8")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    prepare(text, random_streams="independent")
    found = outputs(text)
    path.touch()
    prepare(text, random_streams="independent")
    assert outputs(text) == found
    path.write_text(before, "utf-8")
    prepare(text, random_streams="independent")
    assert outputs(text) != found


def test_pairs(text: Settings) -> None:
    prepare(text, random_streams="independent", dupe_factor=20)
    rows = parsed(text.output_files[0])
    labels = []
    for row in rows:
        assert set(row) == set(records.masked_columns(32, 5))
        length = sum(row["input_mask"])
        ids = row["input_ids"]
        # Whatever was put there may be a [SEP].
        for place, index, weight in zip(
            row["masked_lm_positions"],
            row["masked_lm_ids"],
            row["masked_lm_weights"],
            strict=True,
        ):
            ids[place] = index if weight else ids[place]
        assert ids[0] == 2
        first = ids.index(3)
        assert [place for place, item in enumerate(ids) if item == 3] == [
            first,
            length - 1,
        ]
        assert row["segment_ids"] == [0] * (first + 1) + [1] * (
            length - first - 1
        ) + [0] * (32 - length)
        assert sum(row["masked_lm_weights"]) == max(1, round(0.15 * length))
        labels += row["next_sentence_labels"]
    assert 0.3 < np.mean(labels) < 0.8


def test_full_sentences_without_masks(text: Settings) -> None:
    outcome = prepare(
        text,
        sentence_objective="none",
        masking=MaskingSettings("none"),
        dupe_factor=1,
        short_seq_prob=0,
    )
    rows = parsed(text.output_files[0])
    assert len(rows) == outcome.num_instances
    # Every token of the text is there, once.
    tokens = [
        index
        for row in rows
        for index in row["input_ids"]
        if index not in (0, 2, 3)
    ]
    assert len(tokens) == outcome.num_tokens
    happy = VOCAB.index("##happ")
    for row in rows:
        assert set(row) == set(records.unmasked_columns(32))
        assert not any(row["segment_ids"])
        for index, starts in zip(
            row["input_ids"], row["word_starts"], strict=True
        ):
            assert starts == (index >= 5 and index not in (happy, happy + 1))


def test_entities(text: Settings, tmp_path: pathlib.Path) -> None:
    names = tmp_path / "names"
    names.write_text("the sun\n", "utf-8")
    words = WordSettings(entity_list=str(names))
    prepare(text, words=words, masking=MaskingSettings("none"))
    sun = VOCAB.index("sun")
    starts = set()
    for row in parsed(text.output_files[0]):
        ids = row["input_ids"]
        for place in range(1, 32):
            if ids[place - 1 : place + 1] == [sun - 1, sun]:
                starts.add(
                    (row["word_starts"][place], row["entity_starts"][place])
                )
    assert starts == {(1, 0)}
    how = MaskingSettings("entity", 0.15, 5)
    assert prepare(text, words=words, masking=how).num_instances > 10
    with pytest.raises(UserError, match=r"--masking=entity.*--entity_list"):
        prepare(text, masking=how)


def test_names_of_shards(tmp_path: pathlib.Path) -> None:
    names = shard_paths("folder/a.b.tfrecord", 11)
    assert len(names) == 11
    assert names[0] == "folder/a.b-00000-of-00011.tfrecord"
    assert names[10] == "folder/a.b-00010-of-00011.tfrecord"
    (tmp_path / "a-00003-of-00004.tfrecord").touch()
    with pytest.raises(UserError, match=r"a-00003-of-00004\.tfrecord is there"):
        output_paths(str(tmp_path / "a.tfrecord"), 5)
    assert len(output_paths(str(tmp_path / "a.tfrecord"), 4)) == 4
    with pytest.raises(UserError, match="give one file name"):
        output_paths("a,b", 2)
    assert output_paths("a, b", None) == ("a", "b")


def test_which_order(text: Settings) -> None:
    assert resolve(text) == "original"
    replaced = dataclasses.replace
    assert resolve(replaced(text, num_workers=2)) == "independent"
    sop = replaced(text, sentence_objective="sop")
    assert resolve(sop) == "independent"
    with pytest.raises(UserError, match="--sentence_objective=sop"):
        resolve(replaced(sop, random_streams="original"))
    assert strategy(None, True) == "whole_word"
    with pytest.raises(UserError, match="contradict"):
        strategy("ngram", True)


def test_one_document(text: Settings, tmp_path: pathlib.Path) -> None:
    single = tmp_path / "single.txt"
    single.write_text("the sun sets\nthe moon rises\nthe sea\n", "utf-8")
    settings = dataclasses.replace(text, input_files=(str(single),))
    with pytest.raises(UserError, match=r"single\.txt: .*is one document"):
        prepare(settings)
    assert not left_over(settings)
    prepare(settings, random_streams="original")
    assert "as in the original" in warnings[0]
    assert prepare(settings, sentence_objective="sop").num_instances > 0
    assert not warnings
    # One token cannot be put out of order.
    before = outputs(settings)
    single.write_text("the\n", "utf-8")
    with pytest.raises(UserError, match="no instance can be made of 1 token"):
        prepare(settings, sentence_objective="sop")
    assert outputs(settings) == before
    assert not left_over(settings)


@pytest.mark.parametrize("order", ["original", "independent"])
def test_an_empty_line_after_every_sentence(
    text: Settings, tmp_path: pathlib.Path, order: str
) -> None:
    path = tmp_path / "lines.txt"
    settings = dataclasses.replace(
        text, input_files=(str(path),), random_streams=order
    )
    path.write_text("the sun\n\nthe moon\n\nthe sea\nthe sun\n", "utf-8")
    prepare(settings)
    assert "2 of 3 documents are one sentence" in warnings[0]
    assert "leave it only between documents" in warnings[0]
    path.write_text("the sun\n\nthe moon\nthe sea\n", "utf-8")
    prepare(settings)
    assert not warnings
    path.write_text("the sun\n\nthe moon\n\nthe sea\n", "utf-8")
    prepare(settings)
    labels = {
        row["next_sentence_labels"][0]
        for row in parsed(settings.output_files[0])
    }
    assert labels == {1}
    assert "3 of 3 documents" in warnings[0]
    if order == "independent":
        prepare(settings, sentence_objective="none")
        assert not warnings


def test_warnings(text: Settings, tmp_path: pathlib.Path) -> None:
    chinese = tmp_path / "chinese.txt"
    chinese.write_text("日 月\n海\n\n" + "海 日 " * 40, "utf-8")
    how = MaskingSettings("whole_word", max_predictions_per_seq=5)
    settings = dataclasses.replace(
        text, input_files=(str(chinese),), masking=how
    )
    prepare(settings)
    assert "100% of the tokens are ideographs" in warnings[0]
    assert "1 of 3 sentences are too long" in warnings[1]
    assert "cut off, as in the original" in warnings[1]
    prepare(settings, random_streams="independent")
    assert "piece of their own" in warnings[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_seq_length": 4}, "--max_seq_length=4"),
        ({"dupe_factor": 0}, "--dupe_factor=0"),
        ({"short_seq_prob": 1.5}, "--short_seq_prob=1.5"),
        ({"num_workers": 0}, "--num_workers=0"),
        ({"sentence_objective": "nps"}, "--sentence_objective=nps: .*nsp"),
        ({"output_files": ("a", "a")}, "names a twice"),
        ({"output_files": (".",)}, r"--output_file=\.: is a folder"),
        ({"random_seed": 1, "max_seq_length": 5}, "does not fit"),
    ],
)
def test_settings_out_of_range(
    text: Settings, changes: dict[str, Any], message: str
) -> None:
    if "max_seq_length" in changes and "random_seed" in changes:
        changes["masking"] = MaskingSettings(max_predictions_per_seq=6)
    with pytest.raises(UserError, match=message):
        prepare(text, **changes)


def test_bad_files(text: Settings, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="both input and output"):
        prepare(text, output_files=text.input_files)
    with pytest.raises(UserError, match="more than there is"):
        prepare(
            text,
            random_streams="independent",
            output_files=tuple(str(tmp_path / f"{n}") for n in range(37)),
        )
    vocab = tmp_path / "without.txt"
    vocab.write_text("[UNK]\n[CLS]\n[SEP]\nthe\n", "utf-8")
    with pytest.raises(UserError, match=r"without\.txt.*lacks \[MASK\]"):
        prepare(text, vocab_file=str(vocab))
    with pytest.raises(UserError, match="cannot be read"):
        prepare(text, words=WordSettings(word_list=str(tmp_path / "none")))
    folder = pathlib.Path(text.output_files[0] + ".work")
    folder.mkdir()
    (folder / "precious").touch()
    with pytest.raises(UserError, match="holds something else"):
        prepare(text)
    assert (folder / "precious").exists()


def test_the_script(
    text: Settings, tmp_path: pathlib.Path, root: pathlib.Path
) -> None:
    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                str(root / "create_pretraining_data.py"),
                f"--input_file={text.input_files[0]}",
                f"--vocab_file={text.vocab_file}",
                *flags,
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    flags = ("--max_seq_length=32", "--max_predictions_per_seq=5")
    output = tmp_path / "script.tfrecord"
    done = run(f"--output_file={output}", *flags, "--dupe_factor=3")
    assert done.returncode == 0, done.stderr
    assert "records of 12 documents" in done.stdout
    prepare(text)
    assert (
        output.read_bytes() == pathlib.Path(text.output_files[0]).read_bytes()
    )
    done = run(f"--output_file={output}", "--max_predictions_per_seq=200")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --max_predictions_per_seq=200")
    assert "Traceback" not in done.stderr
