"""A job goes on with the shards that are missing, and mixes no two jobs."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from bert_keras3.parallel_work.pipelines import WorkerLostError
from bert_keras3.parallel_work.settings import RunnerFlags
from bert_keras3.safekeeping.errors import UserError

pytest.importorskip("apache_beam", reason="needs the extra `beam`")
from bert_keras3.batch_inference.job import Inputs, answer_inputs
from bert_keras3.batch_inference.shards import Results

PROCESSES = "--direct_running_mode=multi_processing"


@pytest.fixture
def words(monkeypatch):
    """The class of `run_words.py`, which every process finds."""
    folder = os.path.dirname(__file__)
    monkeypatch.syspath_prepend(folder)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((folder, before)))
    yield importlib.import_module("run_words").CountWords
    del sys.modules["run_words"]


@pytest.fixture
def count(words, tmp_path, screen):
    """A function that counts the words of the files in `rows`."""
    (tmp_path / "notes").mkdir()

    def answer(
        *options, identity=(), pattern="*.txt", inputs=None, folder=None
    ):
        inputs = inputs or str(tmp_path / "rows" / pattern)
        folder = folder or str(tmp_path / "out")
        answer_inputs(
            words(str(tmp_path / "notes")),
            dict(identity),
            Inputs(inputs, "test_file"),
            Results(folder, "words", "predictions_dir"),
            RunnerFlags(runner="DirectRunner", runner_options=options),
            screen,
        )

    return answer


@pytest.fixture
def rows(tmp_path) -> pathlib.Path:
    """A folder of four files; the third is empty."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for name, text in (
        ("a", "one\none two\n"),
        ("b", "one two three\n"),
        ("c", ""),
        ("d", "one\n"),
    ):
        (folder / f"{name}.txt").write_text(text)
    return folder


def answers(folder):
    return {
        path.name[6:11]: path.read_text().split()
        for path in sorted(folder.glob("words-*.txt"))
    }


def totals(folder):
    return json.loads((folder / "words.counts.json").read_text())


ALL = {"00000": ["1", "2"], "00001": ["3"], "00003": ["1"]}


def test_a_file_of_answers_for_each_file(count, rows, tmp_path, screen):
    count()
    assert answers(tmp_path / "out") == ALL
    assert totals(tmp_path / "out") == {
        "shards": 4,
        "finished": 4,
        "rows": 4,
        "tokens": 0,
        "failures": 0,
    }
    kept = json.loads(
        (tmp_path / "out/words-00001-of-00004.counts.json").read_text()
    )
    assert kept["input"][0] == str(rows / "b.txt")
    assert kept["files"] == ["words-00001-of-00004.txt"]
    assert screen.lines[-1].startswith("4 rows of 0 tokens in 4 of 4 shards")


def test_a_mistake_in_one_shard_leaves_the_others(count, rows, tmp_path):
    (rows / "b.txt").write_text("one\nstop\n")
    with pytest.raises(UserError, match=r"(?s)1 of 4 shards.*b.txt, line 2:"):
        count()
    finished = {name: ALL[name] for name in ("00000", "00003")}
    assert answers(tmp_path / "out") == finished
    assert totals(tmp_path / "out")["finished"] == 3
    # Put right, it is the only one that is answered.
    (rows / "b.txt").write_text("one two three\n")
    untouched = tmp_path / "out/words-00000-of-00004.txt"
    before = untouched.stat().st_mtime_ns
    count()
    assert answers(tmp_path / "out") == ALL
    assert untouched.stat().st_mtime_ns == before
    assert not [*(tmp_path / "out").glob("*.stopped.json")]


def test_a_file_that_was_changed_is_answered_again(count, rows, tmp_path):
    count()
    opened = len(os.listdir(tmp_path / "notes"))
    count()  # there is nothing to do
    assert len(os.listdir(tmp_path / "notes")) == opened
    path = rows / "d.txt"
    path.touch()
    count()  # its content is the same
    assert len(os.listdir(tmp_path / "notes")) == opened
    # Of the same size and time.
    times = path.stat()
    path.write_text("o e\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    count()
    assert answers(tmp_path / "out") == {**ALL, "00003": ["2"]}


def test_another_job_is_refused(count, rows, tmp_path):
    count(identity={"model": "one"}.items())
    before = {one.name for one in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match='model was "one", now it is "two"'):
        count(identity={"model": "two"}.items())
    with pytest.raises(UserError, match="inputs was"):
        count(identity={"model": "one"}.items(), pattern="[ab].txt")
    assert {one.name for one in (tmp_path / "out").iterdir()} == before


def test_mistakes(count, rows):
    with pytest.raises(UserError, match="there is no such file"):
        count(pattern="*.csv")
    with pytest.raises(UserError, match=r"rows/a.txt.*twice"):
        count(pattern=f"a.txt,{rows / 'a.txt'}")


def test_no_file_of_the_input_is_replaced(count, rows, tmp_path):
    (tmp_path / "out").mkdir()
    (rows / "a.txt").rename(tmp_path / "out/words-00000-of-00001.txt")
    with pytest.raises(UserError, match="would be replaced"):
        count(pattern="../out/*.txt")
    kept = (tmp_path / "out/words-00000-of-00001.txt").read_text()
    assert kept == "one\none two\n"


def test_files_of_another_file_system(count, rows, tmp_path, monkeypatch):
    """Here it is a folder of this machine under another name."""
    run_filesystem = importlib.import_module("run_filesystem")
    monkeypatch.setattr(run_filesystem, "TOP", str(tmp_path / "store"))
    (tmp_path / "store/in").mkdir(parents=True)
    for one in rows.iterdir():
        one.rename(tmp_path / "store/in" / one.name)
    (tmp_path / "store/in/b.txt").write_text("stop\n")
    store = {"inputs": "words://in/*.txt", "folder": "words://out"}
    with pytest.raises(
        UserError, match=r"(?s)1 of 4.*\nwords://in/b.txt, line 1"
    ):
        count(**store)
    (tmp_path / "store/in/b.txt").write_text("one two three\n")
    count(**store)
    out = tmp_path / "store/out"
    assert answers(out) == ALL
    assert totals(out)["finished"] == 4
    assert not [*out.glob(".*")]
    with pytest.raises(UserError, match="there is no file words://in/no"):
        count(inputs="words://in/no*", folder="words://out")
    with pytest.raises(UserError, match=r"nothing://in.*Is the path right"):
        count(inputs="nothing://in/a", folder="words://out")


@pytest.mark.slow
def test_a_worker_that_is_killed(count, rows, tmp_path):
    (rows / "b.txt").write_text("one two three\nkill\n")
    options = (PROCESSES, "--direct_num_workers=2")
    with pytest.raises(WorkerLostError, match="run the same command again"):
        count(*options)
    assert not [*(tmp_path / "out").glob("words-00001-*")]
    count(*options)
    assert answers(tmp_path / "out") == {**ALL, "00001": ["3", "1"]}
    assert not [*(tmp_path / "out").glob(".working*")]
    # Each process has one model, however many shards it answers.
    opened = [one.name.partition("-")[2] for one in opened_in(tmp_path)]
    assert len(opened) == len(set(opened))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_command_that_is_stopped(count, rows, tmp_path, number, code):
    """Its workers end with it, and a shard that was begun is not there."""
    (rows / "b.txt").write_text("one two three\nwait\n")
    folder = pathlib.Path(__file__).parent
    places = (tmp_path / "notes", rows, tmp_path / "out")
    options = (PROCESSES, "--direct_num_workers=2")
    command = [sys.executable, folder / "run_words.py", *places, *options]
    with subprocess.Popen(command, cwd=folder.parents[1]) as process:
        # Another one is finished, or is the worker's that waits.
        out, begun = tmp_path / "out", ".working*"
        while not ([*out.glob("words-*.counts.json")] and [*out.glob(begun)]):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(30) == code
    workers = [int(one.name.partition("-")[2]) for one in opened_in(tmp_path)]
    # The other may not have begun, or the first may answer every shard.
    assert workers
    for _ in range(100):
        if not any(os.path.exists(f"/proc/{one}") for one in workers):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker goes on")
    assert "00001" not in answers(out)
    assert not [*out.glob("words-00001-*")]
    (tmp_path / "notes/go").touch()
    count(*options)
    assert answers(out) == {**ALL, "00001": ["3", "1"]}


def opened_in(tmp_path):
    return [*(tmp_path / "notes").glob("opened*")]
