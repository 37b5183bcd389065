"""Robotics: differential kinematics of an arm with six joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax.numpy import arctan2, cos, sin, sqrt

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]


# Denavit-Hartenberg lengths and offsets, in millimetres.
A1, A2, A3 = 175.0, 890.0, 50.0
D1, D4, D6 = 575.0, 1035.0, 185.0


def robot_arm_6dof(
    t1: Scalar, t2: Scalar, t3: Scalar, t4: Scalar, t5: Scalar, t6: Scalar
) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar, Scalar]:
    """Position (in millimetres) and Euler angles of the hand, from six joint angles in radians."""
    c1, c2, c4, c5, c6 = cos(t1), cos(t2), cos(t4), cos(t5), cos(t6)
    c23 = cos(t2) * cos(t3) - sin(t2) * sin(t3)
    s1, s2, s4, s5, s6 = sin(t1), sin(t2), sin(t4), sin(t5), sin(t6)
    s23 = cos(t2) * sin(t3) + sin(t2) * cos(t3)

    ax = s5 * (c1 * c23 * c4 + s1 * s4) + c1 * s23 * c5
    ay = s5 * (s1 * c23 * c4 - c1 * s4) + s1 * s23 * c5
    az = s23 * c4 * s5 - c23 * c5
    nz = c6 * (c23 * s5 + s23 * c4 * c5) - s23 * s4 * s6
    oz = (-s6) * (c23 * s5 + s23 * c4 * c5) - s23 * s4 * c6
    angle_z = arctan2(ay, ax)
    angle_y = arctan2(sqrt(1.0 - az**2), az)
    angle_zz = arctan2(oz, -nz)

    x1 = D6 * (s5 * (c1 * c23 * c4 + s1 * s4) + c1 * s23 * c5)
    x2 = c1 * (A1 + A2 * c2 + A3 * c23 + D4 * s23)
    px = x1 + x2
    y1 = D6 * (s5 * (s1 * c23 * c4 + c1 * s4) + s1 * s23 * c5)
    y2 = s1 * (A1 + A2 * c2 + A3 * c23 + D4 * s23)
    py = y1 + y2
    pz = A2 * s2 + D1 + A3 * s23 - D4 * c23 + D6 * (s23 * c4 * s5 - c23 * c5)
    return px, py, pz, angle_z, angle_y, angle_zz


TASKS = (
    Declaration(
        name="RobotArm_6DOF",
        fun=robot_arm_6dof,
        # Away from the poles of the Euler angles.
        inputs=(Uniform(0.2, 0.6),) * 6,
        domain="robotics",
        published={"forward": 397, "reverse": 301, "markowitz": 288, "learned": 231, "ppo": 247},
        source="kinematics of an industrial arm, as benchmarked in arXiv 2406.05027",
    ),
)
