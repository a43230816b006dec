"""Token ids → vectors → logits → loss: BERT as in the original `modeling.py`.

Nothing here sees text, files or flags; the names below are the original's and
keep its signatures, and the weight paths equal Google's variable names.
"""

from modeling.activations import gelu, gelu_erf, get_activation
from modeling.assignment import get_assignment_map_from_checkpoint
from modeling.attention import (
    attention_layer,
    create_attention_mask_from_input_mask,
)
from modeling.bert import BertModel
from modeling.bert_with_heads import BertWithHeads
from modeling.config import BertConfig
from modeling.embeddings import embedding_lookup, embedding_postprocessor
from modeling.encoder import transformer_model
from modeling.initializers import create_initializer
from modeling.normalization import (
    dropout,
    layer_norm,
    layer_norm_and_dropout,
)
from modeling.shapes import (
    assert_rank,
    get_shape_list,
    reshape_from_matrix,
    reshape_to_matrix,
)

__all__ = [
    "BertConfig",
    "BertModel",
    "BertWithHeads",
    "assert_rank",
    "attention_layer",
    "create_attention_mask_from_input_mask",
    "create_initializer",
    "dropout",
    "embedding_lookup",
    "embedding_postprocessor",
    "gelu",
    "gelu_erf",
    "get_activation",
    "get_assignment_map_from_checkpoint",
    "get_shape_list",
    "layer_norm",
    "layer_norm_and_dropout",
    "reshape_from_matrix",
    "reshape_to_matrix",
    "transformer_model",
]
