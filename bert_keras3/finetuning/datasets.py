"""The table of the kinds of data sets; the key is the class of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bert_keras3.finetuning import labelled_data
from bert_keras3.finetuning.dataset import Dataset
from bert_keras3.finetuning.settings import DataChoices


@dataclasses.dataclass(frozen=True)
class Kind:
    """The functions for one kind of data set.

    Attributes:
        find: (settings, settings of the trained model or None) → data set.
        check: checks the settings before a file is opened.
        check_same: checks the settings against those of a trained model.
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
    """Returns the functions for some settings."""
    return DATASETS[type(data)]
