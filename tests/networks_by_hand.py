"""Small float networks of others for tests: one TFLite file by layer, written with the schema of LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class FloatFile:
    """A float ``.tflite`` file that grows operator by operator."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.flatbuffers = schema, flatbuffers
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.rng = np.random.default_rng(seed)
        self.shape = (1, *shape)
        self.current = self.first = self.tensor("x", self.shape)

    def tensor(self, name: str, shape: tuple[int, ...], data: Any = None, variable: bool = False) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, np.array(shape, np.int32), 0, 0
        tensor.isVariable = variable
        if data is not None:
            data = np.asarray(data)
            tensor.type = self.schema.TensorType.INT32 if data.dtype == np.int32 else 0
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, data: Any) -> int:
        array = np.asarray(data)
        return self.tensor(
            f"c{len(self.tensors)}", array.shape, array if array.dtype == np.int32 else array.astype(np.float32)
        )

    def draw(self, *shape: int) -> int:
        return self.constant(self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def add(
        self, kind: str, shape: tuple[int, ...], more: tuple[int, ...] = (), options: str = "", **fields: Any
    ) -> FloatFile:
        """An operator on the current tensor and ``more``, with an output of ``shape`` without the batch."""
        schema = self.schema
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.codes.append(code)
        output = self.tensor(f"{kind.lower()}{len(self.operators)}", (1, *shape))
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes) - 1
        operator.inputs, operator.outputs = np.array([self.current, *more], np.int32), np.array([output], np.int32)
        if options:
            operator.builtinOptions = getattr(schema, f"{options}T")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            for key, value in fields.items():
                setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)
        self.current = output
        return self

    def dense(self, outs: int, activation: int = 0) -> FloatFile:
        ins = int(self.tensors[self.current].shape[-1])
        more = (self.draw(outs, ins), self.draw(outs))
        return self.add("FULLY_CONNECTED", (outs,), more, "FullyConnectedOptions", fusedActivationFunction=activation)

    def save(self, path: Path) -> Path:
        schema = self.schema
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, "main"
        graph.inputs, graph.outputs = np.array([self.first], np.int32), np.array([self.current], np.int32)
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self.codes, [graph], self.buffers
        builder = self.flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def run_litert(path: Path, x: Any) -> Any:
    """Outputs [N, ...] of a float file in LiteRT, window by window."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for window in x:
        interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0].copy())
    return np.stack(found)
