"""The experiments of docs/understanding.md find what the page says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from examples.understanding import (
    draw_rare_word,
    first_steps,
    gelu,
    gradient_norms,
    rare_word,
    read_documents,
    sentence_pairs,
)


def test_the_two_gelus_are_those_of_the_page(root):
    (place, erf, tanh, _), *_ = gelu()
    page = (root / "docs/understanding.md").read_text("utf-8")
    assert f"(erf {erf}, tanh {tanh})" in page
    assert place == "2.692"


def test_words_tell_topics_and_not_order(tmp_path):
    """Ten topics, whose sentences share their words, in any order."""
    rng = np.random.default_rng(0)
    documents = "\n\n".join(
        "\n".join(
            " ".join(f"w{topic}{rng.integers(6)}" for _ in range(8))
            for _ in range(30)
        )
        for topic in "abcdefghij"
    )
    path = tmp_path / "texts.txt"
    path.write_text(f"alone\n\n{documents}\n", "utf-8")
    found = read_documents(path)
    assert [len(document) for document in found] == [30] * 10
    (_, _, next_one), (_, _, order), (_, _, words) = sentence_pairs(found)
    assert float(next_one.rstrip("%")) > 99
    assert order == "50.0%"
    assert float(words.rstrip("%")) < 60


@pytest.mark.slow
def test_what_the_optimizer_does_is_on_the_page(root, tmp_path):
    page = (root / "docs/understanding.md").read_text("utf-8")
    (_, own, later, _), (_, lazily, rest, _) = rare_word()
    assert f"| {own} | {later} |" in page
    assert f"| {lazily} | {rest} |" in page
    steps = first_steps()
    for column in (1, 2):
        cells = " | ".join(row[column] for row in steps)
        assert f"| {cells} |" in page
    norms = " | ".join(f"{float(norm):.3f}" for _, norm in gradient_norms())
    assert f"| gradient norm | {norms} |" in page
    draw_rare_word(tmp_path / "page.html")
    chart = (tmp_path / "page.html").read_text("utf-8")
    assert len(re.findall("<polyline", chart)) == 4
