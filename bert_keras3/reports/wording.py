"""The words of reports, in English and Chinese, from `wording.json`."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence

from bert_keras3.reports.settings import LANGUAGES

_FILE = pathlib.Path(__file__).with_name("wording.json")


@functools.cache
def texts() -> Mapping[str, Sequence[str]]:
    """Returns {key: texts in the order of `LANGUAGES`}."""
    found: Mapping[str, Sequence[str]] = json.loads(_FILE.read_text("utf-8"))
    return found


class Wording:
    """The words of one language; call it with a key.

    Attributes:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        """Takes one of `LANGUAGES`."""
        self.language = language
        self._column = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Returns the words for a key, with values put in.

        Raises:
            KeyError: there is no such key.
        """
        text = texts()[key][self._column]
        return text.format(**values) if values else text

    def __contains__(self, key: str) -> bool:
        """Whether there are words for a key."""
        return key in texts()

    def name(self, key: str) -> str:
        """Returns the words for a key, or the key where there are none."""
        return self(key) if key in self else key.replace("_", " ")
