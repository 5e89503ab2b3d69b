"""Writes the models of this folder: small recurrent ones of Keras as float TFLite, some as ``.keras``, of random weights.

``python tests/files/recurrent/make_models.py`` needs tensorflow. The arrays ``x`` and ``y`` of the ``.npz`` beside each are
windows and what Keras answers. A batch that is fixed makes TensorFlow write a loop (WHILE); ``unroll`` makes it write steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

FOLDER = Path(__file__).parent
STEPS, COLUMNS = 5, 2
AS_KERAS = ("backwards", "cell", "loop_both")


def model(*parts: Any, batch: int | None = 1) -> Any:
    """A sequential model of random weights, also of the biases, which Keras begins at zero."""
    keras.utils.set_random_seed(7)
    net = keras.Sequential([keras.Input(batch_shape=(batch, STEPS, COLUMNS)), *parts, layers.Dense(1)])
    rng = np.random.default_rng(7)
    for weight in net.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return net


def models() -> dict[str, Any]:
    """By name."""
    both = layers.Bidirectional
    return {
        "loop_lstm": model(layers.LSTM(3, return_sequences=True), layers.LSTM(3)),
        "loop_gru": model(layers.GRU(3)),
        "loop_gru_before": model(layers.GRU(3, reset_after=False)),
        "loop_both": model(both(layers.LSTM(3, return_sequences=True)), both(layers.GRU(2))),
        "steps_lstm": model(layers.LSTM(3, unroll=True, return_sequences=True), layers.LSTM(3, unroll=True)),
        "steps_gru": model(layers.GRU(3, unroll=True), batch=None),
        "steps_gru_before": model(layers.GRU(3, unroll=True, reset_after=False)),
        "steps_both": model(both(layers.LSTM(2, unroll=True, return_sequences=True)), layers.GRU(2, unroll=True)),
        "steps_open": model(
            layers.GRU(2, unroll=True, return_sequences=True), layers.LSTM(2, unroll=True, return_sequences=True),
            batch=None,
        ),
        "backwards": model(layers.LSTM(3, go_backwards=True, return_sequences=True), layers.GlobalAveragePooling1D()),
        "cell": model(layers.RNN(layers.LSTMCell(3), return_sequences=True), layers.RNN(layers.GRUCell(3))),
        "loop_simple": model(layers.SimpleRNN(3)),
        "loop_hard": model(layers.LSTM(3, recurrent_activation="hard_sigmoid")),
    }  # fmt: skip


if __name__ == "__main__":
    windows = np.random.default_rng(0).normal(size=(8, STEPS, COLUMNS)).astype(np.float32)
    for name, net in models().items():
        path = FOLDER / f"{name}.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(net).convert())
        answers = np.concatenate([net(windows[i : i + 1]).numpy() for i in range(len(windows))])
        np.savez_compressed(path.with_suffix(".npz"), x=windows, y=answers)
        if name in AS_KERAS:
            net.save(path.with_suffix(".keras"))
