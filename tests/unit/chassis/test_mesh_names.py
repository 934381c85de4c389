"""Names of subjects and streams, with and without a prefix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import ConsumerConfig

from services.chassis.mesh_names import MeshNames, prefix_problem
from services.chassis.nats.topology import TopologyOptions, stream_specs

SPECS = stream_specs(TopologyOptions())
prefixes = st.just("") | st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True).filter(lambda text: text != "tocsin")


@pytest.mark.parametrize("prefix", ["", "stage", "a", "plant-2_b", "0", "x" * 32])
def test_prefixes_that_can_be_used(prefix: str) -> None:
    assert prefix_problem(prefix) == ""


@pytest.mark.parametrize("prefix", ["Stage", "x" * 33, "a.b", "a b", "a*", ">", "é", "stage\n", "$js", "tocsin"])
def test_prefixes_that_cannot(prefix: str) -> None:
    assert "must" in prefix_problem(prefix)


def test_names_at_the_server() -> None:
    stage = MeshNames("stage")
    assert stage.subject("tocsin.videos.v1.probed") == "stage.tocsin.videos.v1.probed"
    assert stage.stream("READINGS") == "STAGE_READINGS"
    plain = MeshNames()
    assert (plain.subject("tocsin.>"), plain.stream("READINGS")) == ("tocsin.>", "READINGS")


@given(prefixes)
def test_what_comes_back_is_what_went(prefix: str) -> None:
    names = MeshNames(prefix)
    for spec in SPECS:
        assert names.plain_stream(names.stream(spec.name)) == spec.name
        for subject in spec.subjects:
            assert names.plain_subject(names.subject(subject)) == subject


@given(prefixes, prefixes)
def test_two_meshes_share_neither_a_stream_nor_a_subject(one: str, other: str) -> None:
    if one == other:
        return
    mine, theirs = MeshNames(one), MeshNames(other)
    assert not {mine.stream(spec.name) for spec in SPECS} & {theirs.stream(spec.name) for spec in SPECS}
    # All subjects of a mesh: what somebody may follow, and the widest right that a user has.
    assert not _overlap(mine.subject("tocsin.>"), theirs.subject("tocsin.>"))


def test_a_consumer_reads_the_subjects_of_its_mesh() -> None:
    names = MeshNames("stage")
    one = names.consumer(ConsumerConfig(durable_name="a", filter_subject="tocsin.alarms.v1.>"))
    assert (one.durable_name, one.filter_subject, one.filter_subjects) == ("a", "stage.tocsin.alarms.v1.>", None)
    several = names.consumer(ConsumerConfig(filter_subjects=["tocsin.a", "tocsin.b"]))
    assert (several.filter_subject, several.filter_subjects) == (None, ["stage.tocsin.a", "stage.tocsin.b"])
    everything = names.consumer(ConsumerConfig())
    assert (everything.filter_subject, everything.filter_subjects) == (None, None)


def _overlap(one: str, other: str) -> bool:
    """Whether a message can have a subject that both cover."""
    for a, b in zip(one.split("."), other.split("."), strict=False):
        if ">" in (a, b):
            return True
        if a != b:
            return False
    return False
