"""The firmware of the virtual board in Python: estimator, forecaster, and when they save and send."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from edgebat.bms import forecaster as outlook
from edgebat.bms import saved as health
from edgebat.bms.can import pack_forecast, pack_frames
from edgebat.bms.estimator import Config, Estimator, Sample
from edgebat.bms.forecaster import Forecaster
from edgebat.bms.resistance import ResistanceConfig
from edgebat.bms.rest import OcvTable
from edgebat.bms.results import Result
from edgebat.bms.samples import Samples
from edgebat.bms.virtual import slices_of
from edgebat.graph import IntGraph

FRAME_MS = 600_000
"""Between bursts of CAN frames."""


class Twin:
    """What ``virtual_bms.c`` does with a health model and, where there is one, a forecast model."""

    def __init__(
        self,
        graph: IntGraph,
        config: Config,
        forecast: IntGraph | None = None,
        ocv: OcvTable | None = None,
        resistance: ResistanceConfig | None = None,
    ) -> None:
        self._graph, self._config, self._forecast, self._ocv = graph, config, forecast, ocv
        self._resistance = resistance
        self._slices = slices_of(graph)
        self._forecast_slices = 0 if forecast is None else slices_of(forecast)
        self.saved: list[bytes] = []
        """States of the estimator since the last start, the newest last."""
        self.forecast_saved: list[bytes] = []
        """The same of the forecaster."""
        self.frames: list[tuple[int, bytes]] = []
        """Identifier and data of every frame since ``frames`` was emptied."""
        self.power_on(None, None)

    def power_on(self, state: bytes | None, history: bytes | None = None) -> None:
        """Begin anew from what was saved, or from nothing."""
        self.estimator = Estimator(self._graph, self._config, self._slices, self._ocv, self._resistance)
        if state is not None:
            self.estimator.restore(state)
        self.forecaster: Forecaster | None = None
        if self._forecast is not None:
            source = self.estimator.model.fingerprint
            self.forecaster = Forecaster(self._forecast, source, self._forecast_slices)
            if history is not None:
                self.forecaster.restore(history)
        self._since_frame_ms = self._alive = 0
        self._saved_revision = self.estimator.revision
        self._forecast_saved_revision, self._pushed_revision = 0, -1
        self.saved = [state] if state is not None else []
        self.forecast_saved = [history] if history is not None else []
        self.frames = []

    def run(self, samples: Samples) -> Result:
        """Work through samples; ``saved`` grows by the states that are written meanwhile."""
        estimator = self.estimator
        for mv, ma, dt, ddegc, valid in zip(
            samples["cell_mv"].tolist(),
            samples["current_ma"].tolist(),
            samples["dt_ms"].tolist(),
            samples["temperature_ddegc"].tolist(),
            samples["valid"].tolist(),
            strict=True,
        ):
            estimator.push(Sample(mv, ma, dt, ddegc, bool(valid & 1), bool(valid & 2), bool(valid & 4)))
            estimator.step()
            self._follow()
            self._since_frame_ms += dt
            if self._since_frame_ms >= FRAME_MS:
                self._since_frame_ms = 0
                self._send()
            self._save()
        return estimator.result()

    def sleep(self, elapsed_ms: int) -> None:
        """Time passed without samples."""
        self.estimator.idle(elapsed_ms)
        self._since_frame_ms += elapsed_ms

    def seed(self, soh_cpct: int, sigma_cpct: int) -> None:
        """Service puts another cell in."""
        self.estimator.seed(soh_cpct, sigma_cpct)

    def _follow(self) -> None:
        if self.forecaster is None:
            return
        if self.estimator.revision != self._pushed_revision:
            self._pushed_revision = self.estimator.revision
            self.forecaster.push(self.estimator.result())
        self.forecaster.step()

    def _send(self) -> None:
        estimator, ohm = self.estimator, self.estimator.resistance is not None
        self.frames += pack_frames(estimator.model, estimator.result(), self._alive, resistance=ohm)
        if self.forecaster is not None:
            self.frames += pack_forecast(self.forecaster.model, self.forecaster.result())
        self._alive = (self._alive + 1) % 16

    def _save(self) -> None:
        if self.estimator.revision != self._saved_revision:
            self._saved_revision = self.estimator.revision
            self.saved.append(self.estimator.state())
        if self.forecaster is not None and self.forecaster.revision != self._forecast_saved_revision:
            self._forecast_saved_revision = self.forecaster.revision
            self.forecast_saved.append(self.forecaster.state())

    def take(self, branch: Twin) -> None:
        """Go on where ``branch``, a copy of this twin, has come to."""
        self.__dict__.update(branch.__dict__)


def newest_state(slots: Iterable[bytes]) -> bytes | None:
    """The sound saved state or history with the highest sequence number among the slots of an FRAM."""
    magics = (health.MAGIC, outlook.MAGIC[:3])
    sound = [p for p in slots if p[:3] in magics and zlib.crc32(p[:-4]) == int.from_bytes(p[-4:], "little")]
    return max(sound, key=lambda p: int.from_bytes(p[12:16], "little"), default=None)
