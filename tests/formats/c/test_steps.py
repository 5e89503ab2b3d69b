"""Recurrent models in C, one time step at a time: state is the caller's, explicit and resumable."""

import ctypes

import numpy as np
import pytest

from edgebat.runtime import Engine
from tests.c_host import UNDEFINED, VARIANTS, Kernels, aligned, load, pointer
from tests.formats_graphs import random_inputs, random_lstm

OK, NULL, ALIGN = 0, -1, -2


@pytest.fixture(scope="module", params=VARIANTS)
def stepped(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    graph = random_lstm(3)
    return graph, load(graph, folder / "model", Kernels(folder), VARIANTS[request.param])


def head(model, state):
    """The output after the steps so far."""
    out = np.zeros(model.model.output_len, model.model.output_dtype)
    scratch, _ = aligned(256)
    assert model.function("head")(pointer(state), pointer(out), pointer(scratch)) == OK
    return out


def new_state(model):
    state, _ = aligned(model.model.state_bytes)
    assert model.function("reset")(pointer(state)) == OK
    return state


def step(model, x_t, state):
    assert model.function("step")(pointer(np.ascontiguousarray(x_t)), pointer(state)) == OK


def test_single_steps_and_a_head_are_one_run(stepped):
    graph, model = stepped
    for window in random_inputs(graph, 10, 1):
        state = new_state(model)
        for x_t in window:
            step(model, x_t, state)
        np.testing.assert_array_equal(head(model, state), model.run(window[None])[0])


def test_every_step_equals_numpy(stepped):
    graph, model = stepped
    engine, window = Engine(graph), random_inputs(graph, 5, 2)[4]
    state, expected_state = new_state(model), engine.initial_state()
    for x_t in window:
        step(model, x_t, state)
        expected, expected_state = engine.step(x_t[None], expected_state)
        np.testing.assert_array_equal(head(model, state), expected[0])


def test_saved_state_continues_where_it_was(stepped):
    graph, model = stepped
    window = random_inputs(graph, 5, 3)[4]
    state = new_state(model)
    for x_t in window[: len(window) // 2]:
        step(model, x_t, state)
    saved = state.tobytes()
    state[:] = 0xEE  # power off
    state, _ = aligned(len(saved))
    state[:] = np.frombuffer(saved, np.uint8)
    for x_t in window[len(window) // 2 :]:
        step(model, x_t, state)
    np.testing.assert_array_equal(head(model, state), model.run(window[None])[0])


def test_two_states_do_not_know_of_each_other(stepped):
    graph, model = stepped
    windows = random_inputs(graph, 6, 4)[4:]
    states = [new_state(model), new_state(model)]
    for t in range(windows.shape[1]):
        for window, state in zip(windows, states, strict=True):
            step(model, window[t], state)
    for window, state in zip(windows, states, strict=True):
        np.testing.assert_array_equal(head(model, state), model.run(window[None])[0])


def test_the_head_changes_nothing(stepped):
    graph, model = stepped
    state = new_state(model)
    step(model, random_inputs(graph, 4, 5)[3][0], state)
    before = state.copy()
    first = head(model, state)
    np.testing.assert_array_equal(head(model, state), first)
    np.testing.assert_array_equal(state, before)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_damaged_state_cannot_do_harm(tmp_path, variant):
    # Any bytes are a state: no index leaves a table, no sum overflows. The sanitizer ends the process otherwise.
    graph = random_lstm(5)
    model = load(graph, tmp_path / "model", Kernels(tmp_path), (*VARIANTS[variant], *UNDEFINED))
    rng = np.random.default_rng(6)
    width = graph.input_tensor.shape[1]
    for kind in range(300):
        state = new_state(model)
        state[:] = rng.integers(0, 256, state.size) if kind else 0x80
        for _ in range(3):
            step(model, rng.integers(-128, 128, width, dtype=np.int8), state)
        head(model, state)


def test_bad_pointers_are_return_codes(stepped):
    _, model = stepped
    state, scratch = new_state(model), aligned(model.model.scratch_bytes)[0]
    good = pointer(np.zeros(512, np.int8))
    null, odd = ctypes.c_void_p(None), ctypes.c_void_p(state.ctypes.data + 1)
    assert model.function("reset")(null) == NULL
    assert model.function("reset")(odd) == ALIGN
    assert model.function("step")(null, pointer(state)) == NULL
    assert model.function("step")(good, null) == NULL
    assert model.function("step")(good, odd) == ALIGN
    assert model.function("head")(null, good, good) == NULL
    assert model.function("head")(pointer(state), null, good) == NULL
    assert model.function("head")(odd, good, good) == ALIGN
    assert model.function("run")(null, good, pointer(scratch)) == NULL
    assert model.function("run")(good, null, pointer(scratch)) == NULL
    assert model.function("run")(good, good, null) == NULL
    assert model.function("run")(good, good, ctypes.c_void_p(scratch.ctypes.data + 2)) == ALIGN
