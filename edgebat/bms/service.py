"""What a workshop does: ``edgebat_service.c``. ``Estimator.seed`` is part of it."""

from __future__ import annotations

from edgebat.bms.estimator import Estimator, check_health
from edgebat.bms.fusion import HUNDRED_PERCENT, By
from edgebat.bms.resistance import UOHM, Used
from edgebat.bms.results import Reset, Use
from edgebat.errors import DataError
from edgebat.tasks.health.charge_types import PER_MAH, UINT32_MAX, UNKNOWN


def reset(estimator: Estimator, what: Reset) -> None:
    """``edgebat_reset``: forget one thing, or several."""
    if Reset.HEALTH in what:
        estimator.forget_all()
    if Reset.COUNTING in what:
        estimator.forget_counts()
    if Reset.WINDOW in what:
        estimator.forget_window()
    if Reset.USE in what:
        _set_use(estimator, 1, 0, 0)
    if Reset.RESISTANCE in what and estimator.resistance is not None:
        estimator.resistance.forget(0, Used.USED)
    estimator.fusion.weigh()
    estimator.counter.revision += 1


def _set_use(estimator: Estimator, cycle: int, throughput_mah: int, clock_s: int) -> None:
    """So much use and so much time lie behind, and what is known was measured just now."""
    counter, fusion = estimator.counter, estimator.fusion
    counter.cycle, counter.throughput = cycle, throughput_mah * PER_MAH
    counter.efc = fusion.efc = counter.efc_of(estimator.config.nominal_mah, counter.throughput)
    fusion.clock_s, counter.swing, counter.armed = clock_s, 0, False
    estimator.row_efc = counter.efc
    estimator.rows.begin_use()
    estimator.estimate_cycle = cycle if estimator.has_estimate else 0
    estimator.row_cycle = cycle if estimator.window or estimator.has_estimate else 0
    estimator.estimate_s = clock_s if estimator.has_estimate else 0
    for by in By:
        fusion.learn(by, fusion.evidence[by].cpct, fusion.evidence[by].sigma_cpct)


def use(estimator: Estimator) -> Use:
    """``edgebat_use``: what a workshop reads from a board."""
    counter, fusion = estimator.counter, estimator.fusion
    throughput = min(counter.throughput // PER_MAH, UINT32_MAX)
    soh = sigma = UNKNOWN
    if fusion.measured:
        soh = estimator.published
        sigma = min(fusion.target_sigma + abs(soh - fusion.target_cpct), HUNDRED_PERCENT)
    new_uohm = 0 if estimator.resistance is None else estimator.resistance.new // UOHM
    return Use(estimator.serial, counter.cycle, throughput, fusion.clock_s, soh, sigma, new_uohm)


def adopt(estimator: Estimator, use: Use) -> None:
    """``edgebat_adopt``: another board in the same place. Raises DataError for a use without a cycle, or no SOH."""
    if use.cycle < 1:
        raise DataError(f"no use to go on from: {use.cycle} cycles; a battery begins with cycle 1")
    if use.soh_cpct != UNKNOWN:
        check_health(use.soh_cpct, use.sigma_cpct)
    estimator.forget_all()
    _set_use(estimator, use.cycle, use.throughput_mah, use.clock_s)
    if estimator.resistance is not None:
        estimator.resistance.forget(use.new_uohm, Used.USED)
    if use.soh_cpct != UNKNOWN:
        estimator.learn(By.INHERITED, use.soh_cpct, use.sigma_cpct)
    estimator.serial = use.serial
    estimator.fusion.weigh()
    estimator.counter.revision += 1
