"""What a classifier is, told to whoever uses it after the export.

Made of a run's settings without what concerns the training machine alone, its
paths above all. A SavedModel carries it as a signature (`saved_model`), the
formats that take ids as a file (`id_formats`).
"""

from __future__ import annotations

import dataclasses
import json

from finetuning.run_folder import ClassifierSettings


@dataclasses.dataclass(frozen=True)
class Description:
    """How an exported classifier takes text and what it answers."""

    problem: str
    """single_label, multi_label or regression."""
    labels: tuple[str, ...]
    """Names in the order of the probabilities, C in all."""
    max_seq_length: int
    """Tokens of an input, special tokens counted; longer texts are cut."""
    do_lower_case: bool
    """Whether text is lower-cased and loses its accents."""
    takes_pairs: bool
    """Whether the input is a pair of texts."""

    @classmethod
    def of(cls, settings: ClassifierSettings) -> Description:
        """Takes over what a run's settings say."""
        return cls(
            **{
                field.name: getattr(settings, field.name)
                for field in dataclasses.fields(cls)
            }
        )

    def to_json(self) -> str:
        """Returns the fields as a JSON object, over several lines."""
        fields = dataclasses.asdict(self)
        return json.dumps(fields, ensure_ascii=False, indent=2) + "\n"
