"""The models that are exported, as a type."""

from __future__ import annotations

from bert_keras3.vectors.pooling import TextVectorModel
from modeling import BertWithHeads

ExportedModel = BertWithHeads | TextVectorModel
