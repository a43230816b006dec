"""Rewrites an ONNX graph: int8 matrix products, and forms that run fast.

All in operations of the ONNX standard, for any runtime. A product x·W in
float32 becomes (x/scale_x → int8) · (W/scale_w → int8) · scale_w · scale_x.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Kernels use 64 steps: CPUs without VNNI add two products of such a kernel and
# eight bits in 16 bits.
_KERNEL_STEPS = 64
_ROW_STEPS = 127
# Operations from the reciprocal deviation up to `x`, each the first input.
_DEVIATION = ("Sqrt", "Add", "ReduceMean", "Mul", "Sub")


class Rewriting:
    """A graph being rewritten.

    Attributes:
        graph: the ONNX graph, changed in place.
    """

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self._values = {one.name: one for one in graph.initializer}

    def value(self, name: str) -> np.ndarray | None:
        """Returns a constant, or None if `name` is computed."""
        found = self._values.get(name)
        return None if found is None else numpy_helper.to_array(found)

    def constant(self, name: str, value: Any) -> str:
        """Adds a constant, unless it is there, and returns its name."""
        if name not in self._values:
            self._values[name] = numpy_helper.from_array(
                np.asarray(value), name
            )
            self.graph.initializer.append(self._values[name])
        return name

    def replace(self, nodes: dict[str, list[Any]]) -> None:
        """Replaces nodes, and removes those that are no longer used.

        Args:
            nodes: the new nodes, by the first output of the replaced one.
        """
        result = [
            new
            for node in self.graph.node
            for new in nodes.get(node.output[0], [node])
        ]
        wanted = {one.name for one in self.graph.output}
        kept = []
        for node in reversed(result):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        _assign(self.graph.node, reversed(kept))
        _assign(
            self.graph.initializer,
            [one for one in self.graph.initializer if one.name in wanted],
        )
        self._values = {one.name: one for one in self.graph.initializer}

    def name_layer_norms(self) -> int:
        """Fuses the dozen nodes of each LayerNorm to a `LayerNormalization`.

        The LayerNorm of the embeddings has other nodes and stays as it is.

        Returns:
            How many were fused.
        """
        makers = {out: node for node in self.graph.node for out in node.output}
        readers: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        found = {}
        for node in self.graph.node:
            if node.op_type == "Reciprocal":
                chain = _upwards(node, makers)
                if tuple(one.op_type for one in chain) == _DEVIATION:
                    fused = self._layer_norm(node, chain, readers)
                    if fused is not None:
                        found[fused.output[0]] = [fused]
        self.replace(found)
        return len(found)

    def _layer_norm(
        self, reciprocal: Any, chain: list[Any], readers: dict[str, list[Any]]
    ) -> Any:
        # Keras' form: x·s + (β − mean·s), where s = γ / deviation.
        x = chain[-1].input[0]
        scale = readers[reciprocal.output[0]][0]
        shifted = next(
            node for node in readers[scale.output[0]] if x not in node.input
        )
        total = readers[shifted.output[0]][0]
        epsilon, gamma, beta = (
            self._constant_of(node) for node in (chain[1], scale, total)
        )
        if epsilon is None or gamma is None:
            return None
        if beta is None:  # left out, for it was 0
            beta = np.zeros_like(gamma)
        else:
            total = readers[total.output[0]][0]
        name = f"{reciprocal.name}/whole"
        return helper.make_node(
            "LayerNormalization",
            [
                x,
                self.constant(f"{name}/gamma", gamma.reshape(-1)),
                self.constant(f"{name}/beta", beta.reshape(-1)),
            ],
            list(total.output),
            name,
            axis=-1,
            epsilon=float(epsilon),
        )

    def _constant_of(self, node: Any) -> np.ndarray | None:
        values = map(self.value, node.input)
        return next((one for one in values if one is not None), None)

    def divide_before_erf(self) -> None:
        """Writes erf(x·√½) as erf(x / √2): runtimes recognise a GELU by it."""
        makers = {out: node for node in self.graph.node for out in node.output}
        found = {}
        for node in self.graph.node:
            if node.op_type == "Erf" and makers[node.input[0]].op_type == "Mul":
                before = makers[node.input[0]]
                (x,) = (n for n in before.input if self.value(n) is None)
                root = self.constant("erf/root_of_2", np.float32(np.sqrt(2)))
                found[before.output[0]] = [
                    helper.make_node("Div", [x, root], before.output)
                ]
        self.replace(found)

    def round_products(self, within: str) -> int:
        """Computes products with constant kernels in int8.

        A kernel has a scale for each output, its input one for each token,
        from the largest absolute value.

        Args:
            within: part of the names of the products to change.

        Returns:
            How many were changed.
        """
        rounded: set[str] = set()
        found = {}
        for node in self.graph.node:
            kernel = self.value(node.input[-1]) if node.input else None
            if node.op_type == "MatMul" and within in node.name:
                if kernel is None or kernel.ndim != 2:
                    continue
                x = node.input[0]
                rows = [] if x in rounded else self._round_rows(x)
                rounded.add(x)
                found[node.output[0]] = [*rows, *self._product(node, kernel)]
        self.replace(found)
        return len(found)

    def _round_rows(self, x: str) -> list[Any]:
        """Returns the nodes for `x/scale` and `x/int8` (plus 128)."""
        one = self.constant("int8/one", np.float32(1))
        zero = self.constant("int8/zero", np.uint8(128))
        steps = self.constant("int8/step", np.float32(1 / _ROW_STEPS))
        least = self.constant("int8/least", np.float32(1e-12))
        make = helper.make_node
        return [
            make("Abs", [x], [f"{x}/abs"]),
            make(
                "ReduceMax", [f"{x}/abs"], [f"{x}/max"], axes=[-1], keepdims=1
            ),
            make("Mul", [f"{x}/max", steps], [f"{x}/step"]),
            # For rows of zeros.
            make("Max", [f"{x}/step", least], [f"{x}/scale"]),
            make("Div", [x, f"{x}/scale"], [f"{x}/steps"]),
            make("QuantizeLinear", [f"{x}/steps", one, zero], [f"{x}/int8"]),
        ]

    def _product(self, node: Any, kernel: np.ndarray) -> list[Any]:
        x, name, make = node.input[0], node.name, helper.make_node
        scale = np.abs(kernel).max(0) / _KERNEL_STEPS
        scale = np.where(scale == 0, 1, scale).astype(np.float32)
        whole = np.rint(kernel / scale).astype(np.int8)
        inputs = [
            f"{x}/int8",
            self.constant(f"{name}/int8", whole),
            self.constant("int8/zero", np.uint8(128)),
        ]
        scales = self.constant(f"{name}/scale", scale)
        return [
            make("MatMulInteger", inputs, [f"{name}/sum"], name),
            make(
                "Cast",
                [f"{name}/sum"],
                [f"{name}/float"],
                to=onnx.TensorProto.FLOAT,
            ),
            make("Mul", [f"{name}/float", scales], [f"{name}/scaled"]),
            make("Mul", [f"{name}/scaled", f"{x}/scale"], list(node.output)),
        ]


def _upwards(node: Any, makers: dict[str, Any]) -> list[Any]:
    """Returns the node that made a node's first input, and so on upwards."""
    chain: list[Any] = []
    while len(chain) < len(_DEVIATION) and node.input[0] in makers:
        node = makers[node.input[0]]
        chain.append(node)
    return chain


def _assign(field: Any, values: Iterable[Any]) -> None:
    values = list(values)
    del field[:]
    field.extend(values)
