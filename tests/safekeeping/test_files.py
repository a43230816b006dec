"""A file is the old one or the new one, never half of either."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib

import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import (
    atomic_folder,
    atomic_path,
    atomic_write,
    own_folder,
    wanted_path,
)


class Interruption(Exception):  # noqa: N818 - not an error of the writer
    pass


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    return path


def test_a_file_that_was_written(old: pathlib.Path) -> None:
    with atomic_write(old) as file:
        file.write("néw")
        assert old.read_text("utf-8") == "old"
    assert old.read_bytes() == "néw".encode()
    assert names(old.parent) == ["a.txt"]


def test_bytes_and_line_ends(tmp_path: pathlib.Path) -> None:
    with atomic_write(tmp_path / "new" / "a.bin", "wb") as file:
        file.write(b"\0\r\n")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"\0\r\n"
    with atomic_write(tmp_path / "a.csv", newline="") as file:
        file.write("a\r\n")
    assert (tmp_path / "a.csv").read_bytes() == b"a\r\n"


def test_an_interruption_leaves_the_old_file(old: pathlib.Path) -> None:
    with contextlib.suppress(Interruption), atomic_write(old) as file:
        file.write("half")
        file.flush()
        raise Interruption
    assert old.read_text("utf-8") == "old"
    assert names(old.parent) == ["a.txt"]


def test_a_full_disk_at_the_last_moment_leaves_the_old_file(
    old: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written late is reported late: by fsync."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OSError, match="No space left") as caught,
        atomic_write(old) as file,
    ):
        file.write("new")
    assert caught.value.filename == str(old)
    assert old.read_text("utf-8") == "old"
    assert names(old.parent) == ["a.txt"]


def test_a_path_for_writers_that_want_one(old: pathlib.Path) -> None:
    with atomic_path(old) as temporary:
        assert (temporary.parent, temporary.suffix) == (old.parent, ".txt")
        assert not temporary.exists()
        temporary.write_text("new", encoding="utf-8")
    assert old.read_text("utf-8") == "new"
    with pytest.raises(FileNotFoundError), atomic_path(old):
        pass  # a writer that wrote nothing
    assert old.read_text("utf-8") == "new"


def test_a_folder_that_was_filled(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "parent" / "folder"
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("1", encoding="utf-8")
        assert not target.exists()
    assert names(target) == ["a"]
    assert names(target.parent) == ["folder"]


def test_an_interruption_leaves_no_folder(tmp_path: pathlib.Path) -> None:
    with (
        contextlib.suppress(Interruption),
        atomic_folder(tmp_path / "folder") as temporary,
    ):
        (temporary / "a").write_text("1", encoding="utf-8")
        raise Interruption
    assert names(tmp_path) == []


def test_a_folder_is_not_replaced(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with (
        pytest.raises(FileExistsError, match="exists already"),
        atomic_folder(target),
    ):
        pass
    target.rmdir()
    with (
        pytest.raises(FileExistsError, match="exists already"),
        atomic_folder(target),
    ):
        target.mkdir()  # someone else was faster
    assert names(tmp_path) == ["folder"]


def test_a_folder_is_one_process_s_own_until_it_is_done(
    tmp_path: pathlib.Path,
) -> None:
    folder = tmp_path / "out"
    with own_folder(folder, "output_dir"):
        (folder / "model").write_text("mine", encoding="utf-8")
        # A lock belongs to who opened the folder, not to the process.
        with (
            pytest.raises(UserError, match=r"--output_dir=.*out: another"),
            own_folder(folder, "output_dir"),
        ):
            pytest.fail("two are in it")
    with own_folder(folder, "output_dir"):
        assert names(folder) == ["model"]


@pytest.mark.parametrize("name", ["a.txt", "vocab", ".hidden.txt", "a.b.ckpt"])
def test_a_temporary_name_is_shown_as_the_final_one(
    tmp_path: pathlib.Path, name: str
) -> None:
    target = tmp_path / name
    assert wanted_path(target) == target
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"")
        assert temporary != target
        assert wanted_path(temporary) == target


def test_folders_that_stay_empty_are_taken_away(tmp_path: pathlib.Path) -> None:
    with own_folder(tmp_path / "a" / "b", "output_dir") as folder:
        assert folder.is_dir()
    assert names(tmp_path) == []
    kept = tmp_path / "kept"
    kept.mkdir()
    with own_folder(kept, "output_dir"):
        pass
    assert kept.is_dir()
