"""Lines and tables: unbroken, aligned, and data is no markup."""

from __future__ import annotations

import io

from rich.console import Console

from bert_keras3.commands.screen import Screen


def shown(show, width=40):
    text = io.StringIO()
    show(Screen(Console(file=text, width=width, highlight=False)))
    return text.getvalue().splitlines()


def test_a_line_is_not_broken_nor_interpreted():
    line = "[red]labels[/red]: " + "long " * 20
    assert shown(lambda screen: screen.say(line)) == [line]


def test_a_table_uses_all_the_room_and_its_title_is_not_broken():
    title = "checkpoints/index_only/uncased_L-4_H-256_A-4/bert_model.ckpt"
    lines = shown(
        lambda screen: screen.table(
            ("what", "is"),
            [("max_position_embeddings", "512"), ("is", "an ALBERT of " * 3)],
            title=title,
        ),
        width=72,
    )
    assert lines[0] == title
    assert "an ALBERT of an ALBERT of an ALBERT of" in "\n".join(lines)


def test_a_table():
    lines = shown(
        lambda screen: screen.table(
            ("id", "text"),
            [("1", "two\nlines"), (2, "[b]好吃[/b]"), (3, "x" * 99)],
            title="a.csv",
        )
    )
    assert lines[0].strip() == "a.csv"
    text = "\n".join(lines)
    assert "two lines" in text
    assert "[b]好吃[/b]" in text
    assert "xxx…" in text
    assert max(map(len, lines)) <= 40
