"""Vectors of texts as what an exported model predicts.

`serving` exports and runs tasks; this is one that nothing is trained for. It
has the part of `finetuning.task.TextTask` that exports need, and imports no
library, as the runtimes have to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

TEXT_VECTORS = "text_vectors"
"""Name of the task in an export's description."""


@dataclasses.dataclass(frozen=True)
class TextVectors:
    """A model whose outputs are vectors of texts.

    Attributes:
        labels: none.
        width: D, components of a vector.
        pooling: its name, or the modes of a folder with + between them.
        normalize: whether vectors are divided by their length.
    """

    name: ClassVar[str] = TEXT_VECTORS
    heads: ClassVar[tuple[str, ...]] = ()
    per_token: ClassVar[tuple[str, ...]] = ()
    own_rows: ClassVar[bool] = False
    packs_in_graph: ClassVar[bool] = True
    extra_inputs: ClassVar[Mapping[str, Any]] = {}
    score_name: ClassVar[str] = "vectors"

    labels: tuple[str, ...] = ()
    width: int = 0
    pooling: str = ""
    normalize: bool = False

    @property
    def score_shape(self) -> tuple[int, ...]:
        """[D]."""
        return (self.width,)

    def scores(self, outputs: Any) -> Any:
        """Returns the vectors, float32 [N, D]."""
        return outputs[self.score_name]

    def decisions(self, scores: Any) -> dict[str, Any]:
        """There is nothing to decide."""
        return {}

    def predictions(self, scores: np.ndarray) -> list[Any]:
        """[N, D] → N vectors [D]."""
        return list(scores)
