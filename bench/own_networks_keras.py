"""The networks of `bench.own_networks` in Keras, in the same order: ``python -m bench.own_networks_keras FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from bench.own_networks_cell import EPOCHS, MEAN, STD, STEPS, cell


def _stacked(*parts: Callable[[], Any]) -> Any:
    normalized = layers.Normalization(mean=MEAN, variance=[value**2 for value in STD])
    return keras.Sequential([keras.Input((STEPS, 3)), normalized, *(part() for part in parts), layers.Dense(1)])


def _tcn() -> Any:
    source = keras.Input((STEPS, 3))
    y = layers.Conv1D(12, 1)(layers.Normalization(mean=MEAN, variance=[value**2 for value in STD])(source))
    for k in range(4):
        y = layers.Add()([layers.Conv1D(12, 3, dilation_rate=2**k, padding="causal", activation="relu")(y), y])
    return keras.Model(source, layers.Dense(1)(y[:, -1, :]))


NETWORKS: dict[str, Callable[[], Any]] = {
    "LSTM, 16 units": lambda: _stacked(lambda: layers.LSTM(16)),
    "GRU, 16 units": lambda: _stacked(lambda: layers.GRU(16)),
    "TCN, 4 dilated convolutions": _tcn,
    "CNN-LSTM": lambda: _stacked(
        lambda: layers.Conv1D(12, 5, padding="same"),
        layers.BatchNormalization,
        layers.ReLU,
        lambda: layers.MaxPooling1D(2),
        lambda: layers.LSTM(12),
    ),
}


def main() -> None:
    """Train each on the cell's windows and save them as ``keras_0.keras`` and so on, in the folder that is named."""
    x, y = cell(1000, 0)
    for index, build in enumerate(NETWORKS.values()):
        keras.utils.set_random_seed(0)
        network = build()
        network.compile(optimizer=keras.optimizers.Adam(5e-3), loss="mse")
        network.fit(x, (y - 50) / 25, batch_size=64, epochs=EPOCHS, verbose=0)
        weight, bias = network.layers[-1].get_weights()
        network.layers[-1].set_weights([weight * 25, bias * 25 + 50])  # outputs in percent
        network.save(Path(sys.argv[1]) / f"keras_{index}.keras")


if __name__ == "__main__":
    main()
