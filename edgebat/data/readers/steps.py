"""Step kinds out of what cyclers call them, and the current's sign out of step kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgebat.arrays import Bool, Float64, StrArray
from edgebat.data.readers.names import squeeze
from edgebat.data.readers.profiles import shipped

_WORDS = (
    (("dchg", "disch", "dischg", "entlad", "dch", "décharg", "decharg", "descarg", "scaric", "ontlad", "разряд", "放电",
      "放電", "방전"), "discharge"),
    (("chg", "charg", "laden", "ladung", "carga", "carica", "laad", "заряд", "充电", "充電", "충전"), "charge"),
    (("rest", "pause", "ocv", "idle", "wait", "ruhe", "relax", "repos", "riposo", "покой", "静置", "搁置", "休止"), "rest"),
)  # fmt: skip
CV_BAND_V = 0.005
"""A charge is at constant voltage where it is this close to its highest voltage and its current has begun to fall."""


def step_kinds(texts: Sequence[str], kinds: Mapping[str, str]) -> StrArray | None:
    """Kind [S] of every sample; None when no text names a charge, discharge or rest."""
    known = {squeeze(text): kind for text, kind in {**shipped()["generic"].step_kinds, **kinds}.items()}
    unique, index = np.unique(np.asarray(texts, dtype=np.str_), return_inverse=True)
    found = [_kind(text, known) for text in unique.tolist()]
    if set(found) <= {"other", ""}:
        return None
    return np.array([kind or "other" for kind in found], dtype="U10")[index]


def _kind(text: str, known: Mapping[str, str]) -> str:
    key = squeeze(text.removesuffix(".0"))
    if key in known:
        return known[key]
    for words, kind in _WORDS:
        if any(word in key for word in words):
            return "charge_cv" if kind == "charge" and "cv" in key and "cccv" not in key and "cc" not in key else kind
    return ""


def split_cv(kinds: StrArray, voltage_v: Float64, current_a: Float64) -> StrArray:
    """``kinds`` with each "charge" made "charge_cc" or "charge_cv" by voltage and current."""
    result = kinds.astype("U10")
    for first, last in runs(kinds == "charge"):
        volts, amps = voltage_v[first:last], np.abs(current_a[first:last])
        top = volts >= volts.max() - CV_BAND_V
        falling = amps < 0.98 * np.median(amps[amps > 0.5 * amps.max()]) if amps.max() > 0 else top & False
        result[first:last] = np.where(top & falling, "charge_cv", "charge_cc")
    return result


def runs(mask: Bool) -> list[tuple[int, int]]:
    """(first, end) of the stretches where ``mask`` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def sign_by_steps(current_a: Float64, kinds: StrArray) -> tuple[str, Float64]:
    """The current's sign that step kinds prove, and the current; one without a sign gets it: charging positive then.

    "" when no current flows, "unknown" when they contradict each other.
    """
    rest = 1e-3 * float(np.nanmax(np.abs(current_a), initial=0.0))
    charging = np.isin(kinds, ("charge", "charge_cc", "charge_cv")) & (np.abs(current_a) > rest)
    discharging = (kinds == "discharge") & (np.abs(current_a) > rest)
    if not (charging.any() or discharging.any()):
        return "", current_a
    up = float((current_a[charging] > 0).mean()) if charging.any() else np.nan
    down = float((current_a[discharging] > 0).mean()) if discharging.any() else np.nan
    if not (up < 0.95 or down > 0.05):
        return "positive_is_charge", current_a
    if not (up > 0.05 or down < 0.95):
        return "positive_is_discharge", current_a
    if (up > 0.95 and down > 0.95) or (up < 0.05 and down < 0.05):
        size = np.abs(current_a)
        return "by_step", np.where(discharging, -size, np.where(charging, size, current_a))
    return "unknown", current_a
