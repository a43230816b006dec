"""The table of the kinds of data, by the settings that describe them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bert_keras3.finetuning import labelled_data
from bert_keras3.finetuning.dataset import Dataset
from bert_keras3.finetuning.settings import DataChoices


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of data.

    Attributes:
        find: (settings, of the trained model or None) → the data set.
        check: checks settings before a file is opened.
        check_same: checks settings against those of a trained model.
    """

    find: Callable[..., Dataset]
    check: Callable[..., None]
    check_same: Callable[..., None]


DATASETS: Mapping[type, Kind] = {
    DataChoices: Kind(
        labelled_data.find_labelled_data,
        labelled_data.check_data,
        labelled_data.check_same_data,
    ),
}


def kind_of(data: Any) -> Kind:
    """Returns the row of some settings."""
    return DATASETS[type(data)]
