"""Attention maps, their rollout, and what heads attend to."""

from __future__ import annotations

import collections
import sys

import numpy as np
import pytest

from bert_keras3 import checkpointing
from bert_keras3.explaining.attention import (
    ROLES,
    AttentionReader,
    TextAttention,
)
from bert_keras3.inputs.examples import InputExample
from bert_keras3.safekeeping.errors import UserError
from modeling import BertModel
from modeling.attention import recorded_attention

# float32 sums of a few dozen products.
CLOSE = {"rtol": 0, "atol": 2e-6}


@pytest.fixture(scope="module")
def reader(folder):
    return AttentionReader(checkpointing.open(folder), 16)


def plain_maps(folder, input_ids, segment_ids):
    """The maps of the padded computation, [L, N, S, S]."""
    checkpoint = checkpointing.open(folder)
    model = BertModel(checkpoint.config)
    checkpoint.load_into(model)
    padding = [0, 0]
    with recorded_attention() as maps:
        model(
            {
                "input_ids": np.array([[*input_ids, *padding]]),
                "input_mask": np.array([[1] * len(input_ids) + padding]),
                "segment_ids": np.array([[*segment_ids, *padding]]),
            }
        )
    size = len(input_ids)
    return np.concatenate([np.asarray(one) for one in maps])[..., :size, :size]


def test_the_maps_are_those_of_the_model(folder, reader):
    found = reader.read("The birds fly.", "They sing.")
    assert found.tokens[:3] == ("[CLS]", "the", "birds")
    assert found.tokens.count("[SEP]") == 2
    assert found.segment_ids == tuple(
        int(place > found.tokens.index("[SEP]"))
        for place in range(len(found.tokens))
    )
    vocab = checkpointing.open(folder).tokenizer().vocab
    ids = [vocab[token] for token in found.tokens]
    wanted = plain_maps(folder, ids, found.segment_ids)
    np.testing.assert_allclose(found.maps, wanted, **CLOSE)
    np.testing.assert_allclose(found.maps.sum(-1), 1, **CLOSE)


def test_rollout_by_hand():
    """Two layers of two heads on two tokens."""
    first = [[[1, 0], [0.5, 0.5]], [[0, 1], [0.5, 0.5]]]
    second = [[[0, 1], [1, 0]], [[0, 1], [1, 0]]]
    maps = np.array([first, second], np.float32)
    attention = TextAttention(("a", "b"), (0, 0), maps, 0)
    # The mean of the first layer's heads is 0.5 everywhere.
    after_one = np.array([[0.75, 0.25], [0.25, 0.75]])
    after_two = np.array([[0.5, 0.5], [0.5, 0.5]]) @ after_one
    np.testing.assert_allclose(attention.rollout, [after_one, after_two])


def plain_shares(attention):
    """What each head attends to, token by token."""
    tokens, segments = attention.tokens, attention.segment_ids
    special = ("[CLS]", "[SEP]")
    goals = {
        "previous token": lambda i, j: j == i - 1,
        "next token": lambda i, j: j == i + 1,
        "itself": lambda i, j: j == i,
        "same word": lambda i, j: j != i and tokens[j] == tokens[i],
        "other sentence": lambda i, j: (
            segments[j] != segments[i] and tokens[j] not in special
        ),
        "[CLS]": lambda i, j: tokens[j] == "[CLS]",
        "[SEP]": lambda i, j: tokens[j] == "[SEP]",
    }
    assert tuple(goals) == ROLES
    looking = [i for i, token in enumerate(tokens) if token not in special]
    return np.stack(
        [
            np.mean(
                [
                    sum(
                        attention.maps[..., i, j]
                        for j in range(len(tokens))
                        if reached(i, j)
                    )
                    + np.zeros(attention.maps.shape[:2])
                    for i in looking
                ],
                axis=0,
            )
            for reached in goals.values()
        ],
        axis=-1,
    ), len(looking)


def test_roles_equal_the_loops(reader):
    """Over texts of different lengths, each token with the same weight."""
    texts = [
        ("the birds fly", "they sing ."),
        ("the birds fly . they sing .", None),
        ("the the the", None),
    ]
    examples = [InputExample("1", *pair) for pair in texts]
    plain = [plain_shares(reader.read(*pair)) for pair in texts]
    wanted = np.average(
        [shares for shares, _ in plain],
        axis=0,
        weights=[count for _, count in plain],
    )
    assert wanted[..., ROLES.index("other sentence")].max() > 0
    assert wanted[..., ROLES.index("same word")].max() > 0
    for batch_size in (1, 2, 3):
        found = reader.roles(examples, batch_size)
        np.testing.assert_allclose(found, wanted, **CLOSE)


def test_too_long_a_text_is_shown_without_its_end(reader):
    found = reader.read("they sing . " * 20)
    assert len(found.tokens) == 16
    assert found.num_dropped == 60 - 14


def test_texts_without_tokens(reader):
    with pytest.raises(UserError, match="no token in ''"):
        reader.read("")
    with pytest.raises(UserError, match="no text has a token"):
        reader.roles([InputExample("1", " ")], 2)


HOSTILE = '</script><script>document.title="!"</script> <b>the</b> birds'


def run(monkeypatch, *arguments):
    from bert_keras3.commands import visualize_attention as script

    monkeypatch.setattr(sys, "argv", ["visualize_attention.py", *arguments])
    script.COMMAND.parse(sys.argv)
    script.main()


def test_arrays_instead_of_a_page(folder, tmp_path, monkeypatch, capsys):
    path = tmp_path / "maps.npz"
    given = (
        f"--init_checkpoint={folder}",
        "--text=the birds fly",
        f"--output_file={path}",
        "--max_seq_length=16",
    )
    run(monkeypatch, *given)
    assert "layer" in capsys.readouterr().out
    with np.load(path) as arrays:
        assert arrays["tokens"][1] == "the"
        size = len(arrays["tokens"])
        assert arrays["attention"].shape[2:] == (size, size)
        np.testing.assert_allclose(arrays["rollout"].sum(-1), 1, **CLOSE)
    before = path.read_bytes()
    with pytest.raises(UserError, match="exists and is not overwritten"):
        run(monkeypatch, *given)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_long_chinese_in_a_browser(
    folder, tmp_path, monkeypatch, opened, capsys
):
    """As long as the model takes it: lines from left to right, no network."""
    path = tmp_path / "attention.html"
    run(
        monkeypatch,
        f"--init_checkpoint={folder}",
        f"--text={'今天天气很好。' * 100}",
        f"--output_file={path}",
        "--max_seq_length=512",
    )
    capsys.readouterr()
    page = opened(path)
    from selenium.webdriver.common.by import By

    places = [
        (one.rect["y"], one.rect["x"])
        for one in page.find_elements(By.CSS_SELECTOR, "#looks button")
    ]
    assert len(places) == 512
    lines = collections.Counter(top for top, _ in places)
    assert places == sorted(places)
    assert 20 < max(lines.values()) < 512


def test_the_page_in_a_browser(folder, tmp_path, monkeypatch, opened, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("the birds fly\nthey sing .\n", "utf-8")
    path = tmp_path / "attention.html"
    run(
        monkeypatch,
        f"--init_checkpoint={folder}",
        f"--text={HOSTILE}",
        "--text_pair=今天天气很好。 <img src=x onerror=alert(1)>",
        f"--input_file={texts}",
        f"--output_file={path}",
        "--max_seq_length=64",
    )
    capsys.readouterr()
    page = opened(path)
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    def find(selector):
        return page.find_elements(By.CSS_SELECTOR, selector)

    assert page.title == "Attention"
    assert find("#looks b, #looks img, #looks script") == []
    checkpoint = checkpointing.open(folder)
    attention = AttentionReader(checkpoint, 64).read(
        HOSTILE, "今天天气很好。 <img src=x onerror=alert(1)>"
    )
    assert [one.text for one in find("#looks button")] == list(attention.tokens)
    layers, heads = attention.maps.shape[:2]
    thumbnails = find("#heads button")
    assert len(thumbnails) == layers * heads
    assert len(find("#roles tbody tr")) == layers * heads

    # Choosing a head shows its probabilities, to the precision of a shade.
    thumbnails[1].click()
    ActionChains(page).move_to_element(find("#looks button")[2]).perform()
    shown = [float(one.get_attribute("title")) for one in find("#looks button")]
    np.testing.assert_allclose(shown, attention.maps[0, 1, 2], atol=5e-3)
    seen = [float(one.get_attribute("title")) for one in find("#seen button")]
    np.testing.assert_allclose(seen, attention.maps[0, 1, :, 2], atol=5e-3)

    page.find_element(By.ID, "no-sep").click()
    separators = [one for one in find("#looks button") if one.text == "[SEP]"]
    assert {one.get_attribute("title") for one in separators} == {"0.000"}

    page.find_element(By.CSS_SELECTOR, "option[value=rollout]").click()
    shown = [float(one.get_attribute("title")) for one in find("#seen button")]
    wanted = attention.rollout[0, :, 2]
    is_hidden = np.array(attention.tokens) == "[SEP]"
    np.testing.assert_allclose(shown, np.where(is_hidden, 0, wanted), atol=5e-3)

    # A heading sorts, a row chooses its head.
    page.find_element(By.XPATH, "//button[text()='next token']").click()
    column = [
        float(row.find_elements(By.TAG_NAME, "td")[2].text)
        for row in find("#roles tbody tr")
    ]
    assert column == sorted(column, reverse=True)
    ActionChains(page).move_to_element(
        page.find_element(By.ID, "matrix")
    ).perform()
    assert "looks at" in page.find_element(By.ID, "cell").text
