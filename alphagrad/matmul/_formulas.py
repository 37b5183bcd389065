"""Schemes as formulas that a person can read."""

from __future__ import annotations

from fractions import Fraction

from jaxtyping import Int
from numpy import ndarray

from ._scheme import Scheme


def formulas(scheme: Scheme) -> str:
    """The products of a scheme and what becomes of them, one line each, in a form that Python reads as well.

    Entries are numbered from one: of the product C of A and B, c12 stands in the first row and second column.
    It is c1_2 where there are more than nine rows or columns.

    Args:
        scheme: over any ring; modulo a prime the formulas hold modulo that prime.

    Returns:
        the lines, as one text.

    Example:
        >>> print(matmul.formulas(matmul.strassen()))
        m1 = (a11 + a22) * (b11 + b22)
        m2 = (a21 + a22) * b11
        m3 = a11 * (b12 - b22)
        m4 = a22 * (-b11 + b21)
        m5 = (a11 + a12) * b22
        m6 = (-a11 + a21) * (b11 + b12)
        m7 = (a12 - a22) * (b21 + b22)
        c11 = m1 + m4 - m5 + m7
        c12 = m3 + m5
        c21 = m2 + m4
        c22 = m1 - m2 + m3 + m6
    """
    n, m, p = scheme.format
    between = "_" if max(n, m, p) > 9 else ""
    of_a, of_b, of_c = (
        [f"{letter}{i + 1}{between}{j + 1}" for i in range(rows) for j in range(columns)]
        for letter, rows, columns in (("a", n, m), ("b", m, p), ("c", n, p))
    )
    products = [f"m{r + 1}" for r in range(scheme.rank)]
    first, second, third = scheme.denominators
    lines = [
        f"{product} = {_factor(u, first, of_a)} * {_factor(v, second, of_b)}"
        for product, u, v in zip(products, scheme.u, scheme.v, strict=True)
    ]
    # Of C, the transpose is what w holds.
    shares = scheme.matrices[2].transpose(2, 1, 0).reshape(n * p, scheme.rank)
    lines += [f"{name} = {_sum(share, third, products)}" for name, share in zip(of_c, shares, strict=True)]
    return "\n".join(lines)


def _factor(form: Int[ndarray, " terms"], denominator: int, names: list[str]) -> str:
    text = _sum(form, denominator, names)
    return f"({text})" if " " in text or text.startswith("-") else text


def _sum(form: Int[ndarray, " terms"], denominator: int, names: list[str]) -> str:
    """A linear form, as text."""
    text = ""
    for entry, name in zip(form.tolist(), names, strict=True):
        if entry:
            size = Fraction(abs(entry), denominator)
            sign = (" - " if text else "-") if entry < 0 else (" + " if text else "")
            text += sign + (name if size == 1 else f"{size} * {name}")
    return text or "0"
