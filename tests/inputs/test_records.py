"""Records: equal to TensorFlow's own, and what is said of damaged files."""

from __future__ import annotations

import gzip
import pathlib

import numpy as np
import pytest

from bert_keras3.inputs import records
from bert_keras3.inputs.records import encode_examples
from bert_keras3.safekeeping.errors import UserError

COLUMNS = {
    "input_ids": np.array([[101, 7, 300, 102], [0, 127, 128, 16384]]),
    "next_sentence_labels": np.array([[1], [0]]),
    "masked_lm_weights": np.array([[1, 0], [0.5, -2]], np.float32),
}


def write(path: pathlib.Path, contents: list[bytes], kind: str = "none") -> str:
    with records.open_writer(path, kind) as append:
        for content in contents:
            append(content)
    return str(path)


def test_examples_are_those_of_tensorflow() -> None:
    import tensorflow as tf

    encoded = list(encode_examples(COLUMNS))
    assert len(encoded) == 2
    for row, content in enumerate(encoded):
        example = tf.train.Example.FromString(content)
        feature = example.features.feature
        assert set(feature) == set(COLUMNS)
        for key in ("input_ids", "next_sentence_labels"):
            values = list(feature[key].int64_list.value)
            assert values == COLUMNS[key][row].tolist()
        weights = feature["masked_lm_weights"].float_list.value
        assert list(weights) == COLUMNS["masked_lm_weights"][row].tolist()
        # Not only read the same, but the very bytes.
        assert example.SerializeToString(deterministic=True) == content


def test_numbers_of_every_length() -> None:
    import tensorflow as tf

    numbers = np.array([[2**bits - 1, 2**bits] for bits in range(63)]).T
    for row, content in enumerate(encode_examples({"n": numbers})):
        feature = tf.train.Example.FromString(content).features.feature["n"]
        assert list(feature.int64_list.value) == numbers[row].tolist()


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        list(encode_examples({"n": np.array([[-1]])}))


def test_no_rows_make_no_records() -> None:
    assert not list(encode_examples({"n": np.zeros((0, 4), int)}))


@pytest.mark.parametrize("kind", records.COMPRESSIONS)
def test_tensorflow_reads_what_is_written(
    tmp_path: pathlib.Path, kind: str
) -> None:
    import tensorflow as tf

    contents = [b"", b"one", b"x" * 1000]
    path = write(tmp_path / "a.tfrecord", contents, kind)
    found = tf.data.TFRecordDataset(path, "" if kind == "none" else kind)
    assert [item.numpy() for item in found] == contents
    # Files may be put behind one another.
    with open(path, "ab") as file:
        file.write((tmp_path / "a.tfrecord").read_bytes())
    found = tf.data.TFRecordDataset(path, "" if kind == "none" else kind)
    assert [item.numpy() for item in found] == contents * 2


@pytest.mark.parametrize("kind", records.COMPRESSIONS)
def test_what_is_written_is_found_again(
    tmp_path: pathlib.Path, kind: str
) -> None:
    write(tmp_path / "b.tfrecord", [b"three"], kind)
    write(tmp_path / "a.tfrecord", [b"one", b"", b"two"], kind)
    found = records.open_records(str(tmp_path / "*.tfrecord"))
    assert len(found) == 4
    assert [found[row] for row in range(4)] == [b"one", b"", b"two", b"three"]
    assert found.files.tolist() == [0, 0, 0, 1]
    assert found.num_corrupt == 0


def test_equal_records_make_equal_compressed_files(
    tmp_path: pathlib.Path,
) -> None:
    first = write(tmp_path / "a", [b"one"] * 50, "GZIP")
    second = write(tmp_path / "b", [b"one"] * 50, "GZIP")
    assert pathlib.Path(first).read_bytes() == pathlib.Path(second).read_bytes()


def test_damage_is_located_and_skipped(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tfrecord"
    contents = [bytes([65 + row]) * 100 for row in range(5)]
    write(path, contents)
    whole = path.read_bytes()
    frame = 100 + 16

    # One byte of the second record's data.
    path.write_bytes(whole[: frame + 50] + b"!" + whole[frame + 51 :])
    with pytest.raises(records.CorruptRecordError) as caught:
        records.open_records(str(path))
    assert caught.value.offset == frame
    message = "wrong checksum at byte 116; .*--skip_corrupt"
    assert caught.match(rf"a\.tfrecord: a record with a {message}")
    found = records.open_records(str(path), skip_corrupt=True)
    assert found.num_corrupt == 1
    kept = [found[row][:1] for row in range(len(found))]
    assert kept == [b"A", b"C", b"D", b"E"]

    # A byte of its length: the next record is searched for.
    path.write_bytes(whole[:frame] + b"\xff" + whole[frame + 1 :])
    with pytest.raises(UserError, match="a corrupt length at byte 116"):
        records.open_records(str(path))
    found = records.open_records(str(path), skip_corrupt=True)
    assert [found[row][:1] for row in range(len(found))] == kept

    # Cut off in the last record, in its data and in its header.
    for end in (4 * frame + 60, 4 * frame + 5):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match="a truncated record at byte 464"):
            records.open_records(str(path))
        found = records.open_records(str(path), skip_corrupt=True)
        assert (len(found), found.num_corrupt) == (4, 1)


def test_damaged_compression(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.tfrecord"
    rng = np.random.default_rng(0)
    write(path, [rng.bytes(5000) for _ in range(10)], "GZIP")
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(UserError, match=r"a\.tfrecord: damaged compression"):
        records.open_records(str(path))
    found = records.open_records(str(path), skip_corrupt=True)
    assert 0 < len(found) < 10
    # The compression itself, and the record that it broke off in.
    assert found.num_corrupt == 2


def test_no_files_and_no_records(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"nothing-\*: there is no such file"):
        records.open_records(str(tmp_path / "nothing-*"))
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="empty: no record at all"):
        records.open_records(str(tmp_path / "empty"))
    (tmp_path / "text").write_text("this is a text file, not records")
    with pytest.raises(UserError, match="text: a corrupt length at byte 0"):
        records.open_records(str(tmp_path / "text"))


def test_patterns_are_sorted_and_order_is_kept(tmp_path: pathlib.Path) -> None:
    for name in ("b1", "a2", "a1", "a[1]"):
        (tmp_path / name).touch()
    (tmp_path / "a-folder").mkdir()
    found = records.find_files(f"{tmp_path}/b1,{tmp_path}/a*,{tmp_path}/a[1]")
    names = [pathlib.Path(path).name for path in found]
    assert names == ["b1", "a1", "a2", "a[1]", "a[1]"]


def test_compression_is_found_out_by_content(tmp_path: pathlib.Path) -> None:
    # A record of this length begins like a compressed file.
    content = b"x" * 0x8B1F
    path = write(tmp_path / "a.gz", [content])
    assert pathlib.Path(path).read_bytes()[:2] == gzip.compress(b"")[:2]
    assert records.open_records(path)[0] == content
