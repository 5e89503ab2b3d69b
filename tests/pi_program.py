"""Runs on the emulated Raspberry Pi: NumPy results and mismatches of foreign engines for models in a folder, as JSON.

python pi_program.py FOLDER COUNT [onnx] [tflite]
"""

import json
import sys
import zlib
from pathlib import Path

from edgebat.graph import load_graph
from edgebat.runtime import Engine
from edgebat.verify.engines import LITERT, ONNX_RUNTIME, files_in
from edgebat.verify.inputs import random_inputs

folder, count, formats = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
results = {}
for path in sorted(folder.glob("*.ebat")):
    graph = load_graph(path)
    x = random_inputs(graph, count, 1)
    y = Engine(graph).run(x)
    row = {"crc": zlib.crc32(y.astype("<i2").tobytes()), "values": int(y.size)}
    for name, engine in (("onnx", ONNX_RUNTIME), ("tflite", LITERT)):
        if name in formats:
            other = engine.open(graph, files_in(folder, path.stem)).run(x).reshape(y.shape)
            row[name] = int((other != y).sum())
    results[path.stem] = row
print(json.dumps(results))
