"""Makes the ``keras_*.tflite`` files beside it: small Keras models through TensorFlow's own int8 converter.

    pip install tensorflow-cpu tf_keras && python tests/files/make_keras_models.py

The files are kept, because TensorFlow is two gigabytes; written by TensorFlow 2.21.0.
"""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Keras 3 unrolls an LSTM; Keras 2 converts it to the fused operator

import numpy as np
import tensorflow as tf

layers = tf.keras.layers
FOLDER = Path(__file__).parent


def mlp() -> tf.keras.Model:
    return tf.keras.Sequential(
        [
            layers.Input((10, 4)),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="tanh"),
            layers.Dense(8, activation="sigmoid"),
            layers.Dense(3),
        ]
    )


def cnn() -> tf.keras.Model:
    return tf.keras.Sequential(
        [
            layers.Input((10, 4)),
            layers.Conv1D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(8, 2, strides=2),
            layers.ReLU(6.0),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def residual() -> tf.keras.Model:
    x = layers.Input((12, 4))
    a = layers.Conv1D(8, 3, padding="causal", activation="relu")(x)
    b = layers.Conv1D(8, 3, padding="same")(a)
    c = layers.Concatenate()([layers.Add()([a, b]), b])
    d = layers.DepthwiseConv1D(3, padding="same")(c)
    return tf.keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(d)))


def pooled() -> tf.keras.Model:
    return tf.keras.Sequential(
        [
            layers.Input((12, 4)),
            layers.Conv1D(8, 3, strides=2, activation="relu"),
            layers.AveragePooling1D(3),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3),
        ]
    )


def lstm() -> tf.keras.Model:
    return tf.keras.Sequential(
        [
            layers.Input((10, 4), batch_size=1),
            layers.LSTM(8, return_sequences=True),
            layers.LSTM(6),
            layers.Dense(3),
        ]
    )


def convert(model: tf.keras.Model, name: str, integer_border: bool = True) -> None:
    shape = model.input_shape[1:]
    rng = np.random.default_rng(0)

    def windows() -> Iterator[list[np.ndarray]]:
        for _ in range(50):
            yield [rng.normal(0.0, 3.0, (1, *shape)).astype(np.float32)]

    call = tf.function(model).get_concrete_function(tf.TensorSpec((1, *shape), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = windows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if integer_border:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    (FOLDER / f"keras_{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    for make in (mlp, cnn, residual, pooled, lstm):
        tf.keras.utils.set_random_seed(1)
        model = make()
        for weight in model.weights:
            if weight.shape.rank == 1:  # biases are zero otherwise
                weight.assign(np.random.default_rng(3).normal(0.0, 0.1, weight.shape))
        convert(model, make.__name__)
        if make is cnn:
            convert(model, "cnn_float_border", integer_border=False)
