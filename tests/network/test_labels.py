import numpy as np
import pytest

from gnnrl.network.labels import LabelSpace, Value, squeeze_fixed
from gnnrl.network.reasons import Kind, Reason

REASON = Reason(Kind.NO_RULE)


def test_fresh_labels_are_units_of_their_own() -> None:
    space = LabelSpace()

    assert space.fresh(2).tolist() == [0, 1]
    assert space.fresh(3).tolist() == [2, 3, 4]
    assert len(set(space.units().tolist())) == 5


def test_tied_labels_are_one_unit() -> None:
    space = LabelSpace()
    a, b, c = space.fresh(3), space.fresh(3), space.fresh(3)

    space.tie(a, b)
    space.tie(b, c[::-1])

    units = space.units()
    assert (units[a] == units[b]).all()
    assert (units[b] == units[c[::-1]]).all()
    assert len(set(units.tolist())) == 3


def test_ties_are_broadcast() -> None:
    space = LabelSpace()
    rows = space.fresh(6).reshape(2, 3)

    space.tie(rows, rows[:1])

    units = space.units()[rows]
    assert (units[0] == units[1]).all()
    assert len(set(units.ravel().tolist())) == 3


def test_freezing_one_label_freezes_its_unit_and_keeps_reasons_in_order() -> None:
    space = LabelSpace()
    a, b = space.fresh(2), space.fresh(2)
    space.tie(a, b)
    other = Reason(Kind.OUTPUT)

    space.freeze(a[:1], REASON)
    space.freeze(b[:1], other)
    space.freeze(a[:1], REASON)

    units = space.units()
    assert space.reasons(units) == {int(units[a[0]]): [REASON, other]}


@pytest.mark.parametrize("tied", ["rows", "columns", "nothing"])
def test_rectangles_lose_whole_rows_or_the_same_columns(tied: str) -> None:
    """What the program ties decides; where nothing does, the same positions of every row go."""
    space = LabelSpace()
    array = space.fresh(6).reshape(2, 3)
    space.keep_rectangular(array)
    if tied == "rows":
        space.tie(array, array[:, :1])
    if tied == "columns":
        space.tie(array, array[:1])

    units = space.units()[array]

    expected = {"rows": 2, "columns": 3, "nothing": 3}[tied]
    assert len(set(units.ravel().tolist())) == expected
    assert (units == (units[:, :1] if tied == "rows" else units[:1])).all()


def test_along_ties_what_varies_with_other_dimensions_too() -> None:
    space = LabelSpace()
    value = Value((2, 4, 3), (space.fresh(12).reshape(1, 4, 3),))

    labels = space.along(value, 1, REASON)

    units = space.units()
    assert labels is not None
    assert len(labels) == 4
    assert len(set(units.tolist())) == 4


def test_along_a_fixed_dimension_there_are_no_labels() -> None:
    space = LabelSpace()
    value = Value((2, 4, 3), (space.fresh(4).reshape(1, 4, 1),))

    assert space.along(value, 2, REASON) is None
    assert space.along(value, 1, REASON) is not None


def test_two_components_along_one_dimension_freeze_each_other() -> None:
    space = LabelSpace()
    value = Value((4,), (space.fresh(4), space.fresh(4)))

    space.along(value, 0, REASON)

    assert len(space.reasons(space.units())) == 8


def test_a_value_knows_its_labelled_dimensions() -> None:
    component = np.arange(4).reshape(1, 4, 1)
    value = Value((2, 4, 3), (component,))

    assert value.labelled() == {1}
    assert value.varying(1) == [component]
    assert value.varying(0) == []


def test_repetition_is_squeezed() -> None:
    repeated = np.tile(np.arange(3)[:, None], (1, 5))

    assert squeeze_fixed(repeated).tolist() == [[0], [1], [2]]


def test_a_reason_says_where() -> None:
    text = str(Reason(Kind.WORKED_ALONG, "cumsum", "head.pool", "net.py:7"))

    assert text == "cumsum works along these channels in head.pool at net.py:7"
