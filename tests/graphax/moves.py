"""Through which primitives derivatives are moved without a matrix, for tests to see."""

from graphax import _matrix_free, _pushed_columns


def spy_on_moves(monkeypatch):
    """A list of what is moved while the test runs: ``"_pulled"`` or ``"_pushed"``, and the primitive."""
    names = []

    pulled, pushed = _matrix_free._pulled, _pushed_columns.Incoming.pushed_edges

    def spy_on_rows(numbering, outputs, edges, one, *others):
        names.append(("_pulled", one.equation.primitive.name))
        return pulled(numbering, outputs, edges, one, *others)

    def spy_on_columns(incoming, arrays, holes):
        names.append(("_pushed", incoming.equation.primitive.name))
        return pushed(incoming, arrays, holes)

    monkeypatch.setattr(_matrix_free, "_pulled", spy_on_rows)
    monkeypatch.setattr(_pushed_columns.Incoming, "pushed_edges", spy_on_columns)
    return names
