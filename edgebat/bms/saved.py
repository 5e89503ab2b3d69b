"""A battery's saved state, byte for byte that of ``firmware_stubs/bms/edgebat_state.h``."""

from __future__ import annotations

import zlib
from struct import calcsize, pack, unpack_from
from typing import TYPE_CHECKING

from edgebat.bms.fusion import HUNDRED_PERCENT, UNKNOWN_SIGMA, By, Evidence, Fusion, rescaled
from edgebat.bms.resistance import SAVED_BYTES
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import SAVED_HEADER
from edgebat.tasks.health.charge_types import LEAST_SOH_CPCT, UINT16_MAX, UINT32_MAX, UNKNOWN, Anchor, SinceRest

if TYPE_CHECKING:
    from edgebat.bms.estimator import Estimator

MAGIC = b"EBS"
OHM_VERSION, VERSION, TWO_VERSION, OLD_VERSION = 4, 3, 2, 1
"""With a resistance (EDGEBAT_RESISTANCE), without, and those of earlier firmware."""
OWNER = "<5I"
"""Length, fingerprint, sequence, nominal and reference capacity, after the magic number and the version."""
MEMBERS = "<I2Qq6IiI5Hh2Hh6B"
EVIDENCE = "<4H"
REST = "<3Iq2H"
"""Serial number, and what flowed since the last rest."""
OLD_MEMBERS = "<I2Q3I5H6B"
OLD_HEADER, TWO_HEADER = 72, 144
OHM_HEADER = SAVED_HEADER + SAVED_BYTES
HEADERS = {OLD_VERSION: OLD_HEADER, TWO_VERSION: TWO_HEADER, VERSION: SAVED_HEADER, OHM_VERSION: OHM_HEADER}
"""Bytes of the first part, by version."""
NO_DDEGC = -32768
INHERITED_SIGMA = 100
"""What another model or an edited capacity adds to the deviation of what was known."""


def write_state(estimator: Estimator) -> bytes:
    """The state; every one carries a higher sequence number."""
    counter, fusion, model, config = estimator.counter, estimator.fusion, estimator.model, estimator.config
    estimator.sequence = (estimator.sequence + 1) & UINT32_MAX
    counter.kept_use = counter.use
    counter.parked = counter.is_parked
    version = VERSION if estimator.resistance is None else OHM_VERSION
    body = MAGIC + bytes([version])
    body += pack(
        OWNER, estimator.saved_bytes, model.fingerprint, estimator.sequence, config.nominal_mah, config.reference_mah
    )
    body += pack(
        MEMBERS,
        *(counter.cycle, counter.throughput, counter.swing, counter.count),
        *(fusion.clock_s, estimator.row_cycle, estimator.estimate_cycle, estimator.estimate_s),
        *(counter.anchor_ms, counter.cold_ms, counter.anchor_ma, estimator.window_ppm),
        *(estimator.published, fusion.ceiling_cpct, estimator.rul, len(estimator.window), estimator.rows.span),
        *(counter.last_mv, estimator.row_efc, counter.rest_ms),
        NO_DDEGC if counter.last_ddegc is None else counter.last_ddegc,
        *(fusion.settled, counter.armed, counter.anchor),
        *(fusion.odd_rows, counter.failed, estimator.outside),
    )
    for evidence in fusion.evidence:
        body += pack(EVIDENCE, evidence.at_efc, evidence.at_4h, evidence.cpct, evidence.sigma_cpct)
    since = counter.since_rest
    body += pack(REST, estimator.serial, since.ms, since.odd_ms, since.charge, since.cpct, since.sigma)
    if estimator.resistance is not None:
        body += estimator.resistance.state()
    body += pack("<I", zlib.crc32(body))
    assert len(body) == HEADERS[version]
    body += pack(f"<{len(estimator.points)}H", *estimator.points) + estimator.rows.saved()
    return body + pack("<I", zlib.crc32(body))


def read_state(estimator: Estimator, saved: bytes) -> bool:
    """Continue from a saved state of any version; false when it is of another model or of another capacity, of which
    only what still holds is inherited. Raises DataError when it is refused."""
    if len(saved) < OLD_HEADER + 4 or saved[:3] != MAGIC or saved[3] not in HEADERS:
        raise DataError(f"a saved state has more than {OLD_HEADER} bytes and begins with {MAGIC!r} and its version")
    length, fingerprint, sequence, nominal, reference = unpack_from(OWNER, saved, 4)
    model, config = estimator.model, estimator.config
    if not _is_whole(saved, length, other=fingerprint != model.fingerprint):
        raise DataError("the saved state is damaged: its checksum does not fit")
    estimator.begin_counting()
    counter = estimator.counter
    estimator.fusion = Fusion(estimator.fusion.ageing)
    estimator.sequence = sequence
    estimator.second_ms = estimator.slew = 0
    rows = (_read_old if saved[3] == OLD_VERSION else _read_new)(estimator, saved, nominal)
    own = (fingerprint, nominal, reference) == (model.fingerprint, config.nominal_mah, config.reference_mah)
    if own:
        _read_window(estimator, saved, rows)
    else:
        _inherit(estimator, reference)
    counter.parked, counter.rested_mv = counter.is_parked, counter.last_mv
    counter.kept_use = counter.use
    estimator.fusion.weigh()
    return own


def _is_whole(saved: bytes, length: int, *, other: bool) -> bool:
    """Of a longer state than there is room for, another model's, the first part is enough."""
    if length <= len(saved):
        return zlib.crc32(saved[: length - 4]) == int.from_bytes(saved[length - 4 : length], "little")
    header = HEADERS[saved[3]]
    crc = int.from_bytes(saved[header - 4 : header], "little")
    return other and saved[3] != OLD_VERSION and zlib.crc32(saved[: header - 4]) == crc


def _read_new(estimator: Estimator, saved: bytes, nominal: int) -> int:
    counter, fusion = estimator.counter, estimator.fusion
    numbers = unpack_from(MEMBERS, saved, 24)
    counter.cycle, counter.throughput, counter.swing, counter.count = numbers[:4]
    fusion.clock_s, estimator.row_cycle, estimator.estimate_cycle, estimator.estimate_s = numbers[4:8]
    counter.anchor_ms, counter.cold_ms, counter.anchor_ma, estimator.window_ppm = numbers[8:12]
    estimator.published, fusion.ceiling_cpct, estimator.rul, rows, estimator.rows.span = numbers[12:17]
    counter.last_mv, estimator.row_efc, counter.rest_ms, last_ddegc = numbers[17:21]
    counter.last_ddegc = None if last_ddegc == NO_DDEGC else last_ddegc
    fusion.settled, counter.armed = bool(numbers[21]), bool(numbers[22])
    counter.anchor = Anchor(numbers[23])
    fusion.odd_rows, counter.failed, estimator.outside = numbers[24], numbers[25], bool(numbers[26])
    start, size = 24 + calcsize(MEMBERS), calcsize(EVIDENCE)
    known = len(By) if saved[3] >= VERSION else len(By) - 1
    for by in range(known):
        fusion.evidence[by] = Evidence(*unpack_from(EVIDENCE, saved, start + size * by))
    if saved[3] >= VERSION:
        serial, ms, odd_ms, charge, cpct, sigma = unpack_from(REST, saved, start + size * known)
        estimator.serial, counter.since_rest = serial, SinceRest(cpct, sigma, charge, ms, odd_ms)
    if saved[3] == OHM_VERSION and estimator.resistance is not None:
        estimator.resistance.restore(saved, OHM_HEADER - SAVED_BYTES - 4)
    counter.efc = fusion.efc = counter.efc_of(nominal, counter.throughput)
    fusion.aged, fusion.learnt = True, False
    return int(rows)


def _read_old(estimator: Estimator, saved: bytes, nominal: int) -> int:
    """Version 1 knows ages in cycles, of which each may have been a full one."""
    counter, fusion, model = estimator.counter, estimator.fusion, estimator.model
    numbers = unpack_from(OLD_MEMBERS, saved, 24)
    counter.cycle, counter.throughput, counted_at, fusion.clock_s, estimator.row_cycle = numbers[:5]
    estimator.estimate_cycle, estimator.published, counted, cpct, estimator.rul, rows = numbers[5:11]
    has_estimate, estimator.outside, fusion.settled = (bool(v) for v in numbers[11:14])
    counter.efc = fusion.efc = counter.efc_of(nominal, counter.throughput)
    counter.armed = True  # what flowed without power nobody knows

    def before(cycle: int) -> int:
        return max(counter.efc - 4 * min(counter.cycle - cycle, UINT16_MAX // 4), 0)

    estimator.row_efc = before(estimator.row_cycle)
    sigma = UNKNOWN_SIGMA if model.sigma_cpct == UNKNOWN else min(model.sigma_cpct, HUNDRED_PERCENT)
    at = before(estimator.estimate_cycle)
    fusion.evidence[By.MODEL] = Evidence(at, 0, cpct if has_estimate else UNKNOWN, sigma)
    sigma = min(estimator.config.counting_cpct, HUNDRED_PERCENT)
    fusion.evidence[By.COUNTING] = Evidence(counter.efc_of(nominal, counted_at), 0, counted, sigma)
    fusion.learnt = True
    return int(rows)


def _read_window(estimator: Estimator, saved: bytes, rows: int) -> None:
    model = estimator.model
    start = HEADERS[saved[3]]
    estimator.points = list(unpack_from(f"<{model.points}H", saved, start))
    estimator.rows.restore(saved, start + 2 * model.points, rows, estimator.row_cycle)
    estimator.counter.cycle_used = rows > 0 and estimator.row_cycle == estimator.counter.cycle
    # An inference that the power cut short begins again.
    done = estimator.has_estimate and estimator.estimate_cycle == estimator.row_cycle
    estimator.slice = int(not estimator.rows.missing and not done)


def _inherit(estimator: Estimator, reference: int) -> None:
    """Another model's window and estimates mean nothing to this one; what they all said of the cell does, of the capacity
    that is 100 % now."""
    counter, fusion, config = estimator.counter, estimator.fusion, estimator.config

    fusion.weigh()
    cpct = rescaled(fusion.target_cpct, reference, config.reference_mah)
    estimator.forget()
    estimator.published = rescaled(estimator.published, reference, config.reference_mah)
    counter.efc = fusion.efc = counter.efc_of(config.nominal_mah, counter.throughput)
    if fusion.measured:
        fusion.learn(By.INHERITED, max(cpct, LEAST_SOH_CPCT), fusion.target_sigma + INHERITED_SIGMA)
