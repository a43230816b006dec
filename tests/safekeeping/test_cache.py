"""The one folder that downloads are kept in."""

from __future__ import annotations

import pathlib

from bert_keras3.safekeeping.files import cache_folder
from examples.fetch_minilm import minilm_folder


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "bert-keras3"
    assert minilm_folder().parent == cache_folder()
    monkeypatch.setenv("HOME", "/home/ada")
    for nothing in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", nothing)
        assert cache_folder() == pathlib.Path("/home/ada/.cache/bert-keras3")
