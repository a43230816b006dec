"""What a question about a text is, wherever it comes from."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class QuestionExample:
    """One question and the text that may hold its answer.

    Attributes:
        question_id: the id; the number of the question, from 1, where the
            file has none.
        question: its text.
        context: the text, as it stands in the file.
        answers: (text, number of its first character in the context, from
            0), in the order of the file; several are alternatives.
        is_impossible: whether the file says that there is no answer.
        path: the file.
        place: where in the file, for messages: a line, and in nested JSON the
            keys that lead there.
    """

    question_id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...] = ()
    is_impossible: bool = False
    path: str = ""
    place: str = ""

    @property
    def where(self) -> str:
        """File, place and id, as a message begins."""
        parts = (self.path, self.place, f"question {self.question_id!r}")
        return ", ".join(part for part in parts if part)
