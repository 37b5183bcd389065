"""Loops that divide by what they are differentiated by, or by what they carry: kinetics, circuits, flow."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection

kinetics = Collection()
_rng = np.random.default_rng(11)


@kinetics.case(np.array([1.2, 3.0, 20.0, 2.0, 30.0]), batch=(None, 4096))
def two_compartments(p):
    """Pharmacology: concentrations after a dose, forty steps of Heun's method, by clearances and volumes."""
    absorbed, cleared, central, exchanged, outer = p

    def change(y):
        out, back = (cleared + exchanged) / central * y[1], exchanged / outer * y[2]
        return jnp.stack([-absorbed * y[0], absorbed * y[0] - out + back, exchanged / central * y[1] - back])

    def step(y, _):
        slope = change(y)
        y = y + 0.125 * (slope + change(y + 0.25 * slope))
        return y, y[1] / central

    return lax.scan(step, jnp.array([100.0, 0.0, 0.0]), None, 40)[1]


@kinetics.case(np.array([1.0, 0.5, 2.0, 0.9]), batch=(None, 4096))
def inhibited_enzyme(p):
    """Biochemistry: the product of a reaction that it slows down, sixty steps, by four rates."""
    fastest, half, inhibition, gain = p

    def step(held, _):
        substrate, product = held
        rate = fastest * substrate / (half * (1 + product / inhibition) + substrate)
        return (substrate - 0.1 * rate, product + 0.1 * gain * rate), product

    return lax.scan(step, (5.0 + 0 * half, 0 * half), None, 60)[1]


@kinetics.case(np.array([0.05, 0.1, 2.0, 0.2, 5.0]), np.sin(np.arange(50.0)), batch=(None, 4096), shared=(1,))
def battery_voltage(parts, current):
    """Batteries: the voltage of a circuit with two capacitors, fifty steps, by its parts."""
    ohmic, first, fast, second, slow = parts
    resistance, capacity = jnp.stack([first, second]), jnp.stack([fast, slow])

    def step(held, i):
        held = held + 0.1 * (i / capacity - held / (resistance * capacity))
        return held, 3.7 - held.sum() - ohmic * i

    return lax.scan(step, jnp.zeros(2), current)[1]


@kinetics.case(np.array([2.0, 0.7, 1.5, 3.0]), batch=(None, 4096))
def transit_times(p):
    """Hydrology: outflow of four reservoirs in a row, eighty steps, by their residence times."""

    def step(stored, _):
        out = stored / p
        return stored + 0.1 * (jnp.concatenate([jnp.exp(-out[3:]), out[:3]]) - out), out[3]

    return lax.scan(step, jnp.zeros(4), None, 80)[1]


@kinetics.case(np.array([0.1, 0.3, 0.9]), _rng.normal(size=60), batch=(None, 4096), shared=(1,))
def filtered_states(p, observed):
    """Signal processing: estimates of a Kalman filter, sixty steps, by its three parameters."""
    drift, noise, memory = p

    def step(state, y):
        mean, variance = memory * state[0], memory**2 * state[1] + drift
        gain = variance / (variance + noise)
        mean = mean + gain * (y - mean)
        return (mean, (1 - gain) * variance), mean

    return lax.scan(step, (0 * drift, 1 + 0 * drift), observed)[1]


@kinetics.case(np.array([1.0, 3.0, 0.8, 0.1]), batch=(None, 4096))
def real_gas(p):
    """Thermodynamics: the volume of a van der Waals gas by temperature, pressure and both constants, by
    eight steps of Newton's method.
    """
    temperature, pressure, attraction, volume = p

    def step(_, v):
        excess = (pressure + attraction / v**2) * (v - volume) - temperature
        return v - excess / (pressure - attraction / v**2 + 2 * attraction * volume / v**3)

    return lax.fori_loop(0, 8, step, volume + temperature / pressure)
