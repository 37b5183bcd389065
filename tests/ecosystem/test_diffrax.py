"""Solutions of differential equations have the Jacobians of JAX, with the solvers of Diffrax."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agreement import Case, assert_agrees

dfx = pytest.importorskip("diffrax")
optx = pytest.importorskip("optimistix")

pytestmark = pytest.mark.slow

START = np.array([1.0, 0.3])
RATES = np.array([1.1, 0.4, 0.7])
ADAPTIVE = {"stepsize_controller": dfx.PIDController(rtol=1e-3, atol=1e-5)}


def predator_prey(t, y, rates):
    return jnp.stack([y[0] * (rates[0] - rates[1] * y[1]), y[1] * (y[0] - rates[2]) * jnp.cos(t)])


def stiff(t, y, rates):
    return jnp.stack([-30 * rates[0] * y[0] + y[1] ** 2, rates[1] * y[0] - rates[2] * y[1]])


def solve(solver, field=predator_prey, t1=1.0, dt0=0.1, **how):
    """The last state, or what is saved, of a solve as a function of the first state and the rates."""

    def fun(y0, rates):
        terms = dfx.ODETerm(field)
        return dfx.diffeqsolve(terms, solver, 0.0, t1, dt0, y0, rates, max_steps=64, **how).ys

    return fun


def root_finder():
    return optx.Chord(rtol=1e-10, atol=1e-10)


EXPLICIT = ["Euler", "Heun", "Midpoint", "Ralston", "Bosh3", "Tsit5", "Dopri5", "Dopri8"]
OTHER_EXPLICIT = ["LeapfrogMidpoint", "ReversibleHeun"]
IMPLICIT = ["ImplicitEuler", "Kvaerno3", "Kvaerno4", "Kvaerno5"]
ADJOINTS = {
    "recursive checkpoints": dfx.RecursiveCheckpointAdjoint,
    "direct": dfx.DirectAdjoint,
    "forward": dfx.ForwardMode,
    "backsolve": dfx.BacksolveAdjoint,
}
SAVES = {
    "last": dict(t1=True),
    "some": dict(ts=[0.0, 0.25, 0.9]),
    "some, a function of them": dict(ts=[0.1, 0.6], fn=lambda t, y, args: jnp.sum(y**2) * args[0]),
    "steps": dict(steps=True),
    "first and last": dict(t0=True, t1=True),
}
ARGS = (START, RATES)


def saving(how):
    ts = how.get("ts")
    return dfx.SaveAt(**{**how, "ts": None if ts is None else jnp.array(ts)})


@pytest.mark.parametrize("name", [*EXPLICIT, *OTHER_EXPLICIT])
def test_constant_steps_have_the_jacobians_of_jax_with(name):
    fun = solve(getattr(dfx, name)(), adjoint=dfx.DirectAdjoint())
    assert_agrees(name, Case(fun, ARGS, (0, 1), hessian=name in ("Euler", "Tsit5")))


@pytest.mark.parametrize("name", [name for name in (*EXPLICIT, "ReversibleHeun") if name != "Euler"])
def test_adaptive_steps_have_the_jacobians_of_jax_with(name):
    fun = solve(getattr(dfx, name)(), adjoint=dfx.ForwardMode(), **ADAPTIVE)
    assert_agrees(name, Case(fun, ARGS, (0, 1), hessian=name == "Dopri5"))


@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_steps_have_the_jacobians_of_jax_with(name):
    solver = getattr(dfx, name)(root_finder=root_finder())
    fun = solve(solver, stiff, adjoint=dfx.ForwardMode())
    assert_agrees(name, Case(fun, ARGS, (0, 1), rtol=1e-8))


@pytest.mark.parametrize("name", ["Kvaerno3", "Kvaerno5"])
def test_adaptive_implicit_steps_have_the_jacobians_of_jax_with(name):
    finder = dfx.with_stepsize_controller_tols(optx.Chord)()
    fun = solve(getattr(dfx, name)(root_finder=finder), stiff, adjoint=dfx.ForwardMode(), **ADAPTIVE)
    assert_agrees(name, Case(fun, ARGS, (0, 1), rtol=1e-8))


@pytest.mark.parametrize("name", ADJOINTS)
@pytest.mark.parametrize("steps", ["constant", "adaptive"])
def test_a_solve_has_the_jacobian_of_jax_with_the_adjoint(steps, name):
    how = ADAPTIVE if steps == "adaptive" else {}
    fun = solve(dfx.Tsit5(), adjoint=ADJOINTS[name](), **how)
    assert_agrees(f"{steps} {name}", Case(fun, ARGS, (0, 1)))


@pytest.mark.parametrize("name", ["direct", "forward"])
def test_an_adaptive_implicit_solve_has_the_jacobian_of_jax_with_the_adjoint(name):
    fun = solve(dfx.Kvaerno3(), stiff, adjoint=ADJOINTS[name](), **ADAPTIVE)
    assert_agrees(name, Case(fun, ARGS, (0, 1), rtol=1e-8, ways=("bare", "vmap")))


@pytest.mark.parametrize("name", SAVES)
@pytest.mark.parametrize("adjoint", ["direct", "forward", "recursive checkpoints"])
def test_what_is_saved_has_the_jacobian_of_jax(adjoint, name):
    fun = solve(dfx.Dopri5(), adjoint=ADJOINTS[adjoint](), saveat=saving(SAVES[name]), **ADAPTIVE)

    def finite(y0, rates):
        ys = fun(y0, rates)
        return jnp.where(jnp.isfinite(ys), ys, 0)  # what follows the last step is infinite

    assert_agrees(f"{name}, {adjoint}", Case(finite, ARGS, (0, 1), ways=("vmap",)))


def dense(y0, rates):
    solution = dfx.diffeqsolve(
        dfx.ODETerm(predator_prey),
        dfx.Tsit5(),
        0.0,
        1.0,
        0.2,
        y0,
        rates,
        saveat=dfx.SaveAt(dense=True),
        adjoint=dfx.ForwardMode(),
        max_steps=32,
        **ADAPTIVE,
    )
    return solution.evaluate(0.37), solution.derivative(0.61)


def given_steps(y0, rates):
    controller = dfx.StepTo(ts=jnp.array([0.0, 0.1, 0.35, 0.7, 1.0]))
    how = {"stepsize_controller": controller, "adjoint": dfx.DirectAdjoint()}
    return solve(dfx.Heun(), dt0=None, **how)(y0, rates)


def clipped_steps(y0, rates):
    controller = dfx.ClipStepSizeController(
        ADAPTIVE["stepsize_controller"], step_ts=jnp.array([0.4]), jump_ts=jnp.array([0.6])
    )
    return solve(dfx.Tsit5(), stepsize_controller=controller, adjoint=dfx.ForwardMode())(y0, rates)


def chosen_first_step(y0, rates):
    return solve(dfx.Dopri5(), dt0=None, adjoint=dfx.ForwardMode(), **ADAPTIVE)(y0, rates)


def between_times(y0, times):
    solution = dfx.diffeqsolve(
        dfx.ODETerm(predator_prey),
        dfx.Tsit5(),
        times[0],
        times[1] + 1,
        0.1,
        y0,
        RATES,
        adjoint=dfx.DirectAdjoint(),
        max_steps=32,
    )
    return solution.ys


def events(y0, rates):
    """The time at which a ball hits the ground, found by a root finder, and where it is then."""
    event = dfx.Event(lambda t, y, args, **kwargs: y[0], root_finder=optx.Newton(1e-10, 1e-10, optx.rms_norm))
    solution = dfx.diffeqsolve(
        dfx.ODETerm(lambda t, y, args: jnp.stack([y[1], -9.8 * args[0]])),
        dfx.Tsit5(),
        0.0,
        jnp.inf,
        0.05,
        y0,
        rates,
        event=event,
        adjoint=dfx.DirectAdjoint(),
        max_steps=32,
    )
    return solution.ys, solution.ts


def stopped(y0, rates):
    """A solve that ends at the step after a condition holds."""
    event = dfx.Event(lambda t, y, args, **kwargs: y[0] > 1.2)
    return solve(dfx.Tsit5(), event=event, adjoint=dfx.ForwardMode())(y0, rates)


def half_steps(y0, rates):
    return solve(dfx.HalfSolver(dfx.Euler()), adjoint=dfx.ForwardMode(), **ADAPTIVE)(y0, rates)


def backwards(y0, rates):
    return solve(dfx.Tsit5(), t1=-1.0, dt0=-0.1, adjoint=dfx.DirectAdjoint())(y0, rates)


def pytree_state(y0, rates):
    def field(t, y, args):
        return {"x": y["v"], "v": -args[0] * y["x"] - args[1] * y["v"]}

    fun = solve(dfx.Tsit5(), field, adjoint=dfx.ForwardMode(), **ADAPTIVE)
    return fun({"x": y0[0], "v": y0[1]}, rates)


def symplectic(y0, rates):
    terms = (
        dfx.ODETerm(lambda t, v, args: v),
        dfx.ODETerm(lambda t, x, args: -args[0] * jnp.sin(x)),
    )
    pair = (y0[0], y0[1])
    how = {"adjoint": dfx.DirectAdjoint(), "max_steps": 32}
    return dfx.diffeqsolve(terms, dfx.SemiImplicitEuler(), 0.0, 1.0, 0.1, pair, rates, **how).ys


def split_implicit(y0, rates):
    """Stiff decay taken implicitly, the rest explicitly."""
    terms = dfx.MultiTerm(
        dfx.ODETerm(lambda t, y, args: args[1] * jnp.sin(y[::-1])),
        dfx.ODETerm(lambda t, y, args: -20 * args[0] * y),
    )
    how = {"adjoint": dfx.ForwardMode(), "max_steps": 64, **ADAPTIVE}
    return dfx.diffeqsolve(terms, dfx.KenCarp3(), 0.0, 0.5, 0.05, y0, rates, **how).ys


def steady_state(y0, rates):
    """The state at which a field vanishes, differentiated by the implicit function theorem."""

    def field(t, y, args):
        return args[:2] - y - 0.3 * jnp.tanh(y[::-1])

    solution = dfx.diffeqsolve(
        dfx.ODETerm(field),
        dfx.Tsit5(),
        0.0,
        jnp.inf,
        0.1,
        y0,
        rates,
        event=dfx.Event(dfx.steady_state_event(rtol=1e-9, atol=1e-9)),
        adjoint=dfx.ImplicitAdjoint(),
        stepsize_controller=dfx.PIDController(rtol=1e-9, atol=1e-9),
        max_steps=256,
    )
    return solution.ys


def controlled(y0, rates):
    """A differential equation driven by an interpolated path."""
    times = jnp.linspace(0.0, 1.0, 5)
    values = jnp.outer(times, rates[:2]) + jnp.sin(times * rates[2])[:, None]
    control = dfx.CubicInterpolation(times, dfx.backward_hermite_coefficients(times, values))
    term = dfx.ControlTerm(lambda t, y, args: jnp.outer(jnp.tanh(y), args[:2]), control).to_ode()
    return dfx.diffeqsolve(
        term, dfx.Tsit5(), 0.0, 1.0, 0.1, y0, rates, adjoint=dfx.DirectAdjoint(), max_steps=32
    ).ys


def interpolated(y0, rates):
    times = jnp.linspace(0.0, 1.0, 4)
    path = dfx.LinearInterpolation(times, jnp.outer(times**2 + 1, y0) * rates[0])
    return path.evaluate(0.4), path.derivative(0.8)


SOLVES = {
    "dense": dense,
    "given steps": given_steps,
    "clipped steps": clipped_steps,
    "chosen first step": chosen_first_step,
    "events": events,
    "stopped": stopped,
    "half steps": half_steps,
    "backwards": backwards,
    "pytree state": pytree_state,
    "symplectic": symplectic,
    "split implicit": split_implicit,
    "steady state": steady_state,
    "controlled": controlled,
    "interpolated": interpolated,
}


@pytest.mark.parametrize("name", SOLVES)
def test_other_solves_have_the_jacobians_of_jax(name):
    rtol = 1e-6 if name in ("split implicit", "steady state") else 1e-9
    assert_agrees(name, Case(SOLVES[name], ARGS, (0, 1), rtol))


def test_a_solve_between_times_has_the_jacobian_of_jax():
    assert_agrees("between times", Case(between_times, (START, np.array([0.1, -0.3])), (0, 1)))


BROWNIAN = {
    "Euler": (dfx.Euler, {}),
    "Ito-Milstein": (dfx.ItoMilstein, {}),
    "Stratonovich-Milstein": (dfx.StratonovichMilstein, {}),
    "Euler-Heun": (dfx.EulerHeun, {}),
    "Heun, adaptive": (dfx.Heun, {"stepsize_controller": dfx.PIDController(rtol=1e-2, atol=1e-2)}),
    "SPaRK": (dfx.SPaRK, {"levy": dfx.SpaceTimeLevyArea}),
}


@pytest.mark.parametrize("name", BROWNIAN)
@pytest.mark.parametrize("adjoint", ["direct", "forward"])
def test_stochastic_solves_have_the_jacobians_of_jax_with(adjoint, name):
    make_solver, how = BROWNIAN[name]
    how = dict(how)
    levy = how.pop("levy", dfx.BrownianIncrement)

    def fun(y0, rates):
        noise = dfx.VirtualBrownianTree(0.0, 1.0, 1e-2, (), jax.random.key(3), levy)
        terms = dfx.MultiTerm(
            dfx.ODETerm(predator_prey),
            dfx.ControlTerm(lambda t, y, args: 0.1 * args[0] * y, noise),
        )
        return dfx.diffeqsolve(
            terms, make_solver(), 0.0, 1.0, 0.1, y0, rates, adjoint=ADJOINTS[adjoint](), max_steps=64, **how
        ).ys

    assert_agrees(f"{name}, {adjoint}", Case(fun, ARGS, (0, 1), ways=("bare", "vmap")))


class Field(eqx.Module):
    layers: eqx.nn.MLP
    decay: jax.Array

    def __call__(self, t, y, args):
        return self.layers(y) - self.decay * y


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_neural_differential_equation_has_the_jacobian_of_jax_with(adjoint):
    layers = eqx.nn.MLP(2, 2, 4, 1, jnp.tanh, key=jax.random.key(0))
    moving, still = eqx.partition(Field(layers, jnp.array(0.3)), eqx.is_inexact_array)

    def fun(moving, y0):
        field = eqx.combine(moving, still)
        return solve(
            dfx.Tsit5(), lambda t, y, args: args(t, y, None), adjoint=ADJOINTS[adjoint](), **ADAPTIVE
        )(y0, field)

    assert_agrees(adjoint, Case(fun, (moving, START), (0, 1), ways=("bare", "reverse", "vmap")))
