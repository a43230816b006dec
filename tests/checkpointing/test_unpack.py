"""Archives, those that were made to do harm among them."""

from __future__ import annotations

import io
import pathlib
import stat
import tarfile
import zipfile
from typing import Any

import pytest

from bert_keras3.checkpointing.sources import unpack
from bert_keras3.safekeeping.errors import UserError


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def archive(tmp_path: pathlib.Path, **members: str) -> pathlib.Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_files_and_folders(
    tmp_path: pathlib.Path, folder: pathlib.Path
) -> None:
    path = archive(
        tmp_path, **{"m/a.txt": "a", "m/n/b.txt": "b", "__MACOSX/c": "c"}
    )
    unpack(path, folder)
    found = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    assert {str(name): p.read_text() for name, p in found.items()} == {
        "m/a.txt": "a",
        "m/n/b.txt": "b",
    }


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/tmp/evil",
        "..\\evil",
        "C:/evil",
        "a//evil",
        "./evil",
    ],
)
def test_names_that_lead_outside(
    tmp_path: pathlib.Path, folder: pathlib.Path, name: str
) -> None:
    with pytest.raises(UserError, match="outside of the folder; refused"):
        unpack(archive(tmp_path, **{name: "x"}), folder)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.zip"]


def test_links(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="'link' is a link; refused"):
        unpack(path, folder)


def test_swelling(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"zeros{number}", bytes(30 << 20))
    with pytest.raises(UserError, match=r"would grow from \d+ to 94371840"):
        unpack(path, folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", "1")
        file.writestr("a", "2")
    with pytest.raises(UserError, match="two files of one name"):
        unpack(path, folder)


def test_damage(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    path = archive(tmp_path, a="some text that is long enough")
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: Bad CRC"):
        unpack(path, folder)
    path.write_bytes(content[:60])
    with pytest.raises(UserError, match=r"is not a \.zip archive"):
        unpack(path, folder)


def packed(tmp_path: pathlib.Path, name: str, **fields: Any) -> pathlib.Path:
    """Writes a `.tar.gz` of `m/a.txt` and one more member."""
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for member in (tarfile.TarInfo("./m/a.txt"), tarfile.TarInfo(name)):
            member.size = 1
            if member.name == name:
                for field, value in fields.items():
                    setattr(member, field, value)
            file.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def test_a_tar(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    unpack(packed(tmp_path, "./b.txt", size=3), folder)
    assert (folder / "m/a.txt").read_bytes() == b"\0"
    assert (folder / "b.txt").read_bytes() == b"\0\0\0"


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("../evil", {}, "outside of the folder"),
        ("/tmp/evil", {}, "outside of the folder"),
        ("m/a.txt", {}, "two files of one name"),
        (
            "evil",
            {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0},
            "is a link",
        ),
        (
            "evil",
            {"type": tarfile.LNKTYPE, "linkname": "m/a.txt", "size": 0},
            "is a link",
        ),
        ("evil", {"type": tarfile.FIFOTYPE, "size": 0}, "no plain file"),
        ("bomb", {"size": 65 << 20}, "would grow to more than 67108864"),
    ],
)
def test_tars_that_do_harm(
    tmp_path: pathlib.Path,
    folder: pathlib.Path,
    name: str,
    fields: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        unpack(packed(tmp_path, name, **fields), folder)


def test_damaged_tars(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    path = packed(tmp_path, "b", size=5000)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(UserError, match=r"is not a \.tar\.gz archive, or is"):
        unpack(path, folder)
