"""Token ids → vectors → logits → loss: BERT as in the original `modeling.py`.

Nothing here sees text, files or flags; the names below are the original's and
keep its signatures, and the weight paths equal Google's variable names.

Letters in shapes, in every file of this package:

    B  sequences in a batch
    S  tokens in a sequence, padding included
    F  S of the queries ("from")
    T  S of the keys and values ("to")
    R  tokens in a matrix: B·S, or only those that are not padding
    Q  queries in a matrix: R, or only the tokens that a layer computes
    N  attention heads
    H  size of a head, D / N
    D  hidden size
    I  width between the two dense layers of the feed-forward part
    E  width of the embedding tables: D, but in ALBERT
    V  vocabulary size
    P  predicted positions in a sequence
    C  classes
    W  any width

    >>> import numpy as np
    >>> from modeling import BertConfig, BertWithHeads
    >>> config = BertConfig(
    ...     vocab_size=5,  # V
    ...     hidden_size=6,  # D
    ...     num_hidden_layers=2,
    ...     num_attention_heads=2,  # N
    ...     intermediate_size=8,  # I
    ... )
    >>> model = BertWithHeads(config, ["labels"], labels=("ham", "spam"))
    >>> input_ids = np.array([[1, 2, 4, 0], [1, 3, 0, 0]])  # B=2, S=4
    >>> input_mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    >>> outputs = model({"input_ids": input_ids, "input_mask": input_mask})
    >>> tuple(outputs["logits"].shape)  # [B, C]
    (2, 2)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeling.activations import gelu, gelu_erf, get_activation
    from modeling.bert import BertModel
    from modeling.bert_with_heads import BertWithHeads
    from modeling.config import BertConfig
    from modeling.functional import (
        attention_layer,
        create_attention_mask_from_input_mask,
        dropout,
        embedding_lookup,
        embedding_postprocessor,
        get_assignment_map_from_checkpoint,
        layer_norm,
        layer_norm_and_dropout,
        transformer_model,
    )
    from modeling.keras_layers import create_initializer
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


def __getattr__(name: str) -> Any:
    """Imports a name, and Keras with it, on first access.

    `modeling.config`, of which checkpoints are read and converted, needs none.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from modeling import (
        activations,
        bert,
        bert_with_heads,
        config,
        functional,
        keras_layers,
        shapes,
    )

    homes = (
        *(config, activations, bert, bert_with_heads),
        *(functional, keras_layers, shapes),
    )
    return getattr(next(one for one in homes if hasattr(one, name)), name)
