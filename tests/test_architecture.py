"""ARCHITECTURE.md names files that are there, and every room."""

from __future__ import annotations

import re

ROOMS = ("", "bert_keras3/")


def test_every_file_that_it_names_is_there(root):
    page = (root / "ARCHITECTURE.md").read_text("utf-8")
    named = re.findall(r"(?<![\w/.])((?:\w+/)+\w+\.(?:py|md))", page)
    assert len(named) > 60
    missing = [
        name
        for name in named
        if not any((root / room / name).is_file() for room in ROOMS)
    ]
    assert not missing


def test_every_room_is_in_the_table(root):
    page = (root / "ARCHITECTURE.md").read_text("utf-8")
    rooms = {
        path.parent.name for path in root.glob("bert_keras3/*/__init__.py")
    }
    for room in {*rooms, "modeling", "tokenization"}:
        assert f"\n| `{room}` | " in page, room
