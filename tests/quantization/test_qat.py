"""Quantization-aware training: what is trained is the integer graph itself, output by output."""

import numpy as np
import pytest
import torch

from edgebat.quantization import quantize_model
from edgebat.quantization.qat import QatStudent
from edgebat.runtime import Engine, quantize_input
from tests.tiny_windows import health_student


def prepared(kind: str, seed: int) -> tuple[QatStudent, np.ndarray]:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = (0.01 + 0.0008 * rng.standard_normal((300, 10, 10))).astype(np.float32)
    student = health_student(kind)
    soh, rul = rng.uniform(0.7, 1.0, (300, 1)), rng.uniform(0, 300, (300, 1))
    student.set_normalization(x, {"soh": soh, "rul": rul})
    return QatStudent(student, quantize_model(student.float_spec(), x)), x


def differing_outputs(qat: QatStudent, x: np.ndarray) -> int:
    graph = qat.graph()
    q = quantize_input(graph, np.rint(x.astype(np.float64) * 1e6).astype(np.int64))
    trained = qat(torch.from_numpy(x)).detach().double() / graph.output_tensor.scale
    return int(np.count_nonzero(trained.numpy() != Engine(graph).run(q)))


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm", "gru"])
def test_forward_equals_the_exported_graph_before_and_after_training(kind: str) -> None:
    qat, x = prepared(kind, 3)
    assert differing_outputs(qat, x) == 0
    before = qat.graph().fingerprint
    optimizer = torch.optim.Adam(qat.parameters(), 1e-3)
    target = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 7)).astype(np.float32))
    losses = []
    for _ in range(15):
        loss = torch.mean((qat(torch.from_numpy(x)) - target) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert qat.graph().fingerprint != before
    assert differing_outputs(qat, x) == 0


def test_every_weight_gets_a_gradient() -> None:
    for kind in ("mlp", "cnn", "lstm", "gru"):
        qat, x = prepared(kind, 5)
        qat(torch.from_numpy(x)).square().mean().backward()
        for name, parameter in qat.named_parameters():
            assert parameter.grad is not None, f"{kind}: {name} has no gradient"
            assert float(parameter.grad.abs().max()) > 0, f"{kind}: {name} has a zero gradient"
