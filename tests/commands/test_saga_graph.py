"""``saga_graph``: definitions drawn as Mermaid text, from code and from the database."""

from __future__ import annotations

import re

import pytest
from django.core.management import CommandError
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.mermaid import flowchart
from django_saga.core.outline import Node, of_stored, ordered
from tests.commands.rows import a_definition
from tests.commands.screen import written


def test_a_saga_in_code_is_drawn_with_what_undoes_its_steps():
    assert (
        written("saga_graph", "viewed")
        == """\
%% viewed v1
flowchart TD
    s1[["reserve - atomic"]]
    s2["charge"]
    s3["invoice"]
    s4["ship"]
    s5["confirm"]
    s1 --> s2
    s2 --> s3
    s2 --> s4
    s3 --> s5
    s4 --> s5
    u1("release")
    s1 -. undo .-> u1
    u2("refund")
    s2 -. undo .-> u2
    u3("void")
    s3 -. undo .-> u3
    u4("recall")
    s4 -. undo .-> u4
    classDef undo stroke-dasharray: 4 3
    class u1,u2,u3,u4 undo
"""
    )


@pytest.mark.django_db
def test_a_version_that_left_the_code_is_drawn_from_its_row():
    a_definition("viewed", 7, [("only", (), "")])

    drawn = written("saga_graph", "viewed", "--version", "7")

    assert drawn == '%% viewed v7\nflowchart TD\n    s1["only"]\n'
    assert written("saga_graph", "viewed").startswith("%% viewed v1\n")


@pytest.mark.django_db
def test_without_a_version_the_newest_row_is_drawn():
    for version in (1, 3, 2):
        a_definition("retired", version)

    assert written("saga_graph", "retired").startswith("%% retired v3\n")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["view"], r"No saga is named 'view'\. Did you mean 'viewed'\? Known are .*\bviewed\b"),
        (["retird"], r"Did you mean 'retired'\?"),
        (["viewed", "--version", "9"], r"Saga 'viewed' has no version 9; there is 1\."),
        (["viewed", "--version", "0"], "0 is not 1 or more"),
        (["viewed", "--format", "svg"], "invalid choice: 'svg'"),
    ],
)
def test_an_unknown_saga_is_answered_with_those_there_are(arguments, said):
    a_definition("retired")

    with pytest.raises(CommandError, match=said):
        written("saga_graph", *arguments)


@pytest.mark.django_db
@pytest.mark.parametrize("graph", [None, [], {}, {"steps": "x"}, {"steps": [1, {"name": 2}, {"name": "ok"}]}])
def test_a_row_that_holds_anything_else_than_a_graph_is_drawn_as_far_as_it_goes(graph):
    row = a_definition("damaged")
    row.graph = graph
    if graph is not None:
        row.save()

    assert written("saga_graph", "damaged").startswith("%% damaged v1\nflowchart TD\n")


def test_a_circle_is_drawn_and_not_followed():
    nodes = [Node("a", ("b",)), Node("b", ("a",))]

    assert flowchart("odd v1", ordered(nodes)).splitlines()[-2:] == ["    s2 --> s1", "    s1 --> s2"]


def test_steps_come_behind_those_they_wait_for_else_as_written():
    nodes = [Node("d", ("b", "c")), Node("a"), Node("c", ("a",)), Node("b", ("a",)), Node("z")]

    assert [node.name for node in ordered(nodes)] == ["a", "c", "b", "d", "z"]


LINE = re.compile(
    r"%% [\w .-]*"
    r"|flowchart TD"
    r'|    s\d+\["[\w .-]*"\]|    s\d+\[\["[\w .-]* - atomic"\]\]|    u\d+\("[\w .-]*"\)'
    r"|    s\d+ --> s\d+|    s\d+ -\. undo \.-> u\d+|    s\d+ -\. if it fails \.-> s\d+"
    r"|    classDef undo stroke-dasharray: 4 3|    class u\d+(,u\d+)* undo",
    re.ASCII,
)
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ['"]; click s1 "javascript:alert(1)"', "%%{init: {}}%%", "end", "a\nb", "<b>", "]] --> x"]
    ),
)


@given(
    title=WORDS,
    steps=st.lists(
        st.fixed_dictionaries(
            {
                "name": WORDS,
                "after": st.lists(WORDS, max_size=2),
                "atomic": st.booleans(),
                "compensation": WORDS,
            }
        ),
        max_size=5,
    ),
)
def test_whatever_a_row_holds_the_drawing_is_only_boxes_and_arrows(title, steps):
    drawing = flowchart(title, ordered(of_stored({"steps": steps})))

    assert [line for line in drawing.splitlines() if not LINE.fullmatch(line)] == []
