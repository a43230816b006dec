"""Private parts of Keras' optimizers that this package uses.

They exist and behave as described in Keras 3.12.0 and 3.15.1. Private parts of
layers and models are in `modeling/keras_private.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from bert_keras3.optimization.updates import Gradient, Variable


class OptimizerInternals(keras.optimizers.Optimizer):
    """Keras' optimizer with its private parts under public names."""

    def weights_of(
        self, variables: Sequence[Variable] | None
    ) -> Sequence[Variable]:
        """Returns the given variables; by default those of `build`.

        `_trainable_variables`: the public `variables` holds the optimizer's
        own state.
        """
        return variables or self._trainable_variables

    def index_of(self, variable: Variable) -> int:
        """Returns the index of a variable among those of `build`.

        `_get_variable_index`: Keras calls `update_step` with the variable
        alone, and the slots are kept in the order of `build`.
        """
        index: int = self._get_variable_index(variable)
        return index

    def _all_reduce_sum_gradients(
        self, grads_and_vars: Sequence[tuple[Gradient, Variable]]
    ) -> list[tuple[Gradient, Variable]]:
        """Disables Keras' own sum over devices.

        Keras sums after `apply` has clipped. Here the sum comes first
        (`updates.summed_over_replicas`), so that the norm for clipping is that
        of the whole batch.
        """
        return list(grads_and_vars)
