"""Private parts of Keras' optimizers that those of this package use.

Each was seen to exist, and to do what is said here, in Keras 3.12.0 and
3.15.1. Other private parts are in `modeling/keras_private.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from bert_keras3.optimization.updates import Gradient, Variable


class OptimizerInternals(keras.optimizers.Optimizer):
    """Keras' optimizer, its private parts under public names."""

    def weights_of(
        self, variables: Sequence[Variable] | None
    ) -> Sequence[Variable]:
        """Returns the given variables, or those that it was built for.

        `_trainable_variables`: the public `variables` holds the optimizer's
        own state.
        """
        return variables or self._trainable_variables

    def index_of(self, variable: Variable) -> int:
        """Returns which of the variables that it was built for this one is.

        `_get_variable_index`: Keras calls `update_step` with the variable
        alone, and the slots are kept in the order of `build`.
        """
        index: int = self._get_variable_index(variable)
        return index

    def _all_reduce_sum_gradients(
        self, grads_and_vars: Sequence[tuple[Gradient, Variable]]
    ) -> list[tuple[Gradient, Variable]]:
        """Leaves out Keras' own sum over devices.

        Keras calls this after `apply` has clipped. A norm that is to be that
        of the whole batch needs the sum before: `updates.summed_over_replicas`.
        """
        return list(grads_and_vars)
