"""From texts to what made their answers: in the terminal, as page or JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

from rich.text import Text

from bert_keras3.explaining.attributions import TOLERANCE
from bert_keras3.explaining.explainer import Explainer, Explanation
from bert_keras3.explaining.page import explanation_page
from bert_keras3.explaining.settings import ExplainJob
from bert_keras3.finetuning.extra_columns import WithExtraColumns, cell_of
from bert_keras3.inputs.examples import InputExample
from bert_keras3.inputs.texts import open_texts
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.files import atomic_write
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training.session import Screen

_PAGE, _LINES = ".html", ".jsonl"
# Colours of a token that speaks for the answer, and of one against it.
_FOR, _AGAINST = (37, 99, 200), (190, 80, 10)


class ColourScreen(Screen, Protocol):
    """Where coloured text can be printed, too."""

    def show(self, text: Text) -> None:
        """Prints a text with its colours, wrapped."""


def run(job: ExplainJob, screen: ColourScreen) -> None:
    """Explains the answers to all texts of a job.

    Args:
        job: its settings.
        screen: where to print.

    Raises:
        UserError: a flag, the model or a text is wrong, or the output file
            exists; nothing has been written then.
    """
    check_ranges(job)
    output = _checked_output(job)
    explainer = Explainer(job.model_dir)
    if explainer.task.name == "choice":
        raise UserError(
            f"{job.model_dir}: answers questions with choices, which are "
            "explained in Python alone: serving.Explainer(model_dir)"
            ".explain([(context, question, choices)])"
        )
    names = _columns_of(explainer)
    examples = _examples(job, names, screen)
    items = [_item(example, names) for example in examples]
    explained = explainer.explain(items, job.method, job.label)
    _warn(explained, screen)
    if output is None:
        for example, answers in zip(examples, explained, strict=True):
            _show(example, answers, screen)
        return
    with atomic_write(output) as file:
        if output.suffix.lower() == _PAGE:
            file.write(
                explanation_page(
                    examples, explained, model=job.model_dir, method=job.method
                )
            )
        else:
            file.writelines(_lines(examples, explained))
    screen.say(f"wrote {output}")


def _checked_output(job: ExplainJob) -> pathlib.Path | None:
    if job.output_file is None:
        return None
    output = pathlib.Path(job.output_file)
    if output.suffix.lower() not in (_PAGE, _LINES):
        raise UserError(
            f"--output_file={output}: its name must end in {_PAGE} or {_LINES}"
        )
    if output.exists():
        raise UserError(
            f"--output_file={output}: exists and is not overwritten; give "
            "another name or remove it"
        )
    return output


def _columns_of(explainer: Explainer) -> tuple[str, ...]:
    """Returns the names of the columns that the model reads beside texts."""
    task = explainer.task
    return task.extra.names if isinstance(task, WithExtraColumns) else ()


def _examples(
    job: ExplainJob, names: tuple[str, ...], screen: Screen
) -> list[InputExample]:
    if (job.text is None) == (job.input_file is None):
        raise UserError("give --text or --input_file")
    if job.input_file is None:
        cells = _cells(job, names)
        return [InputExample("1", str(job.text), job.text_pair, columns=cells)]
    choices = job.file
    if names:
        choices = dataclasses.replace(choices, features=names)
    file = open_texts(job.input_file, choices)
    for note in file.notes():
        screen.say(note)
    return list(itertools.islice(iter(file), job.max_rows))


def _cells(job: ExplainJob, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the columns of --text; those that are not given are missing.

    Raises:
        UserError: --columns is no JSON object, or has another column.
    """
    given = {}
    if job.columns is not None:
        try:
            given = dict(json.loads(job.columns))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"--columns={job.columns}: is no JSON object ({error}); write "
                '{"price": 3.5, "brand": "Ant"}'
            ) from None
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UserError(
            f"--columns={job.columns}: the model has no column "
            f"{unknown[0]!r}; it reads {', '.join(names) or 'texts alone'}"
        )
    return tuple(cell_of(given.get(name)) for name in names)


def _item(example: InputExample, names: tuple[str, ...]) -> Any:
    columns = [dict(zip(names, example.columns, strict=True))] if names else []
    item = (*example.texts, *columns)
    return item if len(item) > 1 else example.text_a


def _warn(explained: Sequence[Sequence[Explanation]], screen: Screen) -> None:
    """Says how many sums are too far off to be trusted."""
    every = [
        one
        for answers in explained
        for one in answers
        if one.method == "integrated_gradients"
    ]
    wrong = sum(one.error > TOLERANCE for one in every)
    if wrong:
        screen.say(
            f"{wrong} of {len(every)} explanations miss the difference of the "
            f"logits by more than {TOLERANCE:.0%}"
        )


def _show(
    example: InputExample, answers: Sequence[Explanation], screen: ColourScreen
) -> None:
    if not answers:
        screen.say(f"{example.text_a}: nothing was found in it")
    for one in answers:
        screen.say(
            f"{one.label}: logit {one.value:.2f}, {one.absent_value:.2f} "
            f"without {'words and columns' if one.columns else 'the words'}"
        )
        screen.show(_coloured(one))


def _coloured(one: Explanation) -> Text:
    """Returns tokens and columns on a background as strong as their part."""
    text = Text()
    most = max(map(abs, (*one.scores, *one.column_scores))) or 1.0
    for place, (token, score) in enumerate(
        zip(one.tokens, one.scores, strict=True)
    ):
        style = _style(score / most)
        if place in one.places:
            style += " underline"
        glued = token.startswith("##")
        text.append("" if glued or not place else " ")
        text.append(token[2:] if glued else token, style.strip())
    for (name, value), score in zip(
        one.columns, one.column_scores, strict=True
    ):
        text.append(" ")
        text.append(f"{name}: {value or '—'}", _style(score / most))
    return text


def _style(share: float) -> str:
    """Returns the colours of a part, from −1 to 1."""
    if abs(share) <= 0.05:
        return ""
    colour = _FOR if share > 0 else _AGAINST
    mixed = (round(255 - abs(share) * (255 - part)) for part in colour)
    ink = "white" if abs(share) > 0.6 else "black"
    return f"{ink} on #{''.join(f'{part:02x}' for part in mixed)}"


def _lines(
    examples: Sequence[InputExample],
    explained: Sequence[Sequence[Explanation]],
) -> list[str]:
    return [
        json.dumps(
            {"id": example.guid, **dataclasses.asdict(one)}, ensure_ascii=False
        )
        + "\n"
        for example, answers in zip(examples, explained, strict=True)
        for one in answers
    ]
