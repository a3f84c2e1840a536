"""Records of operations: names, settings, parameters by argument, and the digest of a network."""

from dataclasses import replace

from gnnrl.network.labelling.recording import fingerprint_of
from tests.topologies import traced

NETWORK = traced("residual").network


def test_a_record_names_parameters_by_argument_and_keeps_plain_settings() -> None:
    first = NETWORK.operations[0]

    assert (first.name, first.module) == ("conv2d", "0.0")
    assert first.parameters == {"weight": "0.0.weight"}
    assert first.settings["groups"] == 1
    assert first.inputs == ()
    assert NETWORK.operations[1].inputs == (0,)


def test_axes_are_the_dimensions_that_a_plan_shortens() -> None:
    assert {axis.dim for operation in NETWORK.operations for axis in operation.axes} == {1}
    assert all(len(axis.owner) == op.shape[axis.dim] for op in NETWORK.operations for axis in op.axes)


def test_the_digest_knows_shapes_operations_and_outputs() -> None:
    shapes, operations = NETWORK.shapes, NETWORK.operations
    other = (replace(operations[0], name="conv3d"), *operations[1:])
    digests = [
        fingerprint_of(shapes, operations, None),
        fingerprint_of({**shapes, "more": (1,)}, operations, None),
        fingerprint_of(shapes, other, None),
        fingerprint_of(shapes, operations, (0,)),
    ]

    assert digests[0] == NETWORK.fingerprint
    assert len(set(digests)) == 4
