from __future__ import annotations

import pytest

from bert_keras3.safekeeping.errors import UserError
from bert_keras3.serving.versions import latest_version, new_version, versions


def test_numbers_go_up(tmp_path):
    assert new_version(tmp_path / "new") == tmp_path / "new" / "1"
    for name in ("2", "10", "notes", ".11.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "99").write_text("a file")
    assert list(versions(tmp_path)) == [2, 10]
    assert new_version(tmp_path) == tmp_path / "11"
    assert new_version(tmp_path, 3) == tmp_path / "3"
    assert latest_version(tmp_path) == tmp_path / "10"


@pytest.mark.parametrize("version", [7, 8])
def test_a_version_that_is_there_is_refused(tmp_path, version):
    (tmp_path / "007").mkdir()
    (tmp_path / "8").write_text("a file")
    with pytest.raises(UserError, match=r"there already.*free number, 8"):
        new_version(tmp_path, version)


def test_what_is_no_version_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--version=0: .* from 1; 1 is free"):
        new_version(tmp_path, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--export_dir=.*file: is a file"):
        new_version(tmp_path / "file")
    with pytest.raises(UserError, match="holds no exported model"):
        latest_version(tmp_path)
