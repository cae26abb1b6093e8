import datetime
import decimal
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripworld.world import (
    BlobRef,
    Code,
    Done,
    EffectResult,
    Envelope,
    Invoke,
    Limits,
    Malformed,
    Read,
    Signal,
    Sleep,
    Stop,
    Tool,
    Write,
)
from scripworld.world.door import enter, enter_result, keep, reenter
from scripworld.world.records import ENCODER, ENVELOPES

from .lab import Lab

LIMITS = Limits()


def name_of(value: object) -> str:
    return "deep" if isinstance(value, list) else ascii(value)[:60].replace("\\", "/")


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def endless() -> list:
    value: list = []
    value.append(value)
    return value


def any_value(lab: Lab, value: object):
    return lab.invoke("alice", "bank", "any", value=value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        [float("nan")],
        2**63,
        -(2**63) - 1,
        [2**63],
        2**200,
        "\ud800",
        ["\ud800"],
        {"\ud800": 1},
        {1: 2},
        {(1, 2): 3},
        {None: 1},
        b"bytes",
        [b"bytes"],
        object,
        BlobRef(bytes(32)),
        [BlobRef(bytes(32))],
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        nested(16),
        nested(5_000),
        endless(),
    ],
    ids=name_of,
)
def test_what_is_not_json_within_bounds_is_malformed(lab: Lab, value):
    lab.refuses(Code.MALFORMED, lambda: any_value(lab, value))


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (1.0, 1),
        (-0.0, 0),
        ([1.0, {"a": 2.0}], [1, {"a": 2}]),
        (1.5, 1.5),
        (1e300, 1e300),
        (2.0**60, 2**60),
        (-(2.0**63), -(2**63)),
        (2.0**63, 2.0**63),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (True, True),
        (None, None),
        ((1, 2), [1, 2]),
        ([[]], [[]]),
        (nested(14), nested(14)),
        (decimal.Decimal("1.5"), "1.5"),
        (namedtuple("Pair", "a")(1), [1]),
        (datetime.date(2026, 1, 1), "2026-01-01"),
        ("é\x00😀", "é\x00😀"),
    ],
    ids=name_of,
)
def test_what_is_json_is_kept_in_its_normal_form(lab: Lab, given_, kept):
    answer = any_value(lab, given_)

    assert answer == Done({"value": kept})
    assert ENCODER.encode(answer.result) == ENCODER.encode({"value": kept})
    assert ENCODER.encode(lab.last.input.action.args) == ENCODER.encode({"value": kept})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(JSON)
def test_what_came_through_once_comes_through_unchanged(value):
    entry = enter(Envelope("alice", Invoke("bank", "any", {"value": value})), LIMITS)
    result = enter_result(EffectResult(value), 1_000)
    assert enter_result(result, 1_000) == result

    if isinstance(entry, Malformed):
        assert entry.code == Code.MALFORMED
        return
    again = enter(entry.envelope, LIMITS)
    assert (again.raw, again.envelope) == (entry.raw, entry.envelope)
    assert reenter(ENVELOPES.decode(entry.raw), entry.raw, LIMITS) == entry


def test_what_comes_out_shares_nothing_with_what_went_in(lab: Lab):
    value = {"a": [1]}
    answer = any_value(lab, value)
    value["a"].append(2)

    assert answer == Done({"value": {"a": [1]}})


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("alice", None),
        Envelope("alice", {"id": "motto"}),
        Envelope("alice", Done()),
        Envelope("alice", Read(None)),
        Envelope("alice", Read(5)),
        Envelope("alice", Read("\ud800")),
        Envelope("alice", Invoke("bank", "any", [1])),
        Envelope("alice", Invoke("bank", "any", {1: 2})),
        Envelope("alice", Write("note", 5)),
        Envelope("alice", Write("note", None)),
        Envelope("alice", Write("note", "\ud800")),
        Envelope("alice", Write("note", "\ud800" * 2_000)),
        Envelope("alice", Write("note", "x", interface=(Tool("go", "", {"a": float("nan")}),))),
        Envelope("alice", Write("note", "x", interface="go")),
        Envelope("alice", Write("note", "x", contract="public")),
        Envelope("alice", Sleep("soon")),
        Envelope("alice", Sleep(5, ("a", "b", "c", "d"))),
        Envelope("alice", Sleep(5, ("a" * 65,))),
        Envelope("alice", Stop("x" * 401)),
        Envelope("alice", Read("motto"), price_max_scrip=1.5),
        Envelope("alice", Read("motto"), compute_max="much"),
        Envelope("alice", Read("motto"), compute_max=2**70),
        Envelope("alice", Read("motto"), idempotency_key=5),
        Envelope("alice", Read("motto"), idempotency_key="k" * 65),
    ],
    ids=name_of,
)
def test_what_is_no_action_is_malformed(lab: Lab, envelope):
    lab.refuses(Code.MALFORMED, lambda: lab.world.apply(envelope, 0))


@pytest.mark.parametrize("principal", [None, 5, ["alice"], b"alice", "é", "\ud800", "a" * 257])
def test_who_is_no_principal_by_its_name_is_turned_away(lab: Lab, principal):
    answer = lab.world.apply(Envelope(principal, Read("\ud800")), 0)

    assert answer.code == Code.NO_STANDING
    assert lab.last.input.principal == ""


def test_numbers_in_a_schema_are_in_normal_form(lab: Lab):
    lab.program("ok", lambda caller, args: iter(()))
    tool = Tool("go", "", {"properties": {"x": {"maximum": 3.0}}})

    lab.write("bob", "shop", "ok", type="code", interface=(tool,))

    (kept,) = lab.state.artifacts.by_id["shop"].interface
    assert ENCODER.encode(kept.input_schema["properties"]["x"]["maximum"]) == b"\x03"


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (EffectResult(float("nan")), Code.TOOL_FAILED),
        (EffectResult({1: 2}), Code.TOOL_FAILED),
        (EffectResult(2**63), Code.TOOL_FAILED),
        (EffectResult("\ud800"), Code.TOOL_FAILED),
        (EffectResult(object), Code.TOOL_FAILED),
        (EffectResult(nested(70)), Code.TOOL_FAILED),
        (EffectResult(1, code=7_000), Code.TOOL_FAILED),
        (EffectResult(1, usage={"tokens": -1}), Code.TOOL_FAILED),
        (EffectResult(1, usage={"tokens": 2**60}), Code.TOOL_FAILED),
        (EffectResult(1, usage={"tokens": 2**70}), Code.TOOL_FAILED),
        (EffectResult(1, usage={"tokens": 1.5}), Code.TOOL_FAILED),
        (EffectResult(1, usage={"t" * 65: 1}), Code.TOOL_FAILED),
        (EffectResult(1, usage={f"t{n}": 1 for n in range(33)}), Code.TOOL_FAILED),
        (EffectResult(1, usage=None), Code.TOOL_FAILED),
        (EffectResult("x" * 101), Code.RESULT_TOO_LARGE),
        (EffectResult("x" * 101, usage={"tokens": -1}), Code.TOOL_FAILED),
    ],
    ids=name_of,
)
def test_a_result_that_cannot_be_kept_becomes_a_failure(result, code):
    entered = enter_result(result, 100)

    assert (entered.value, entered.code) == (None, code)
    assert enter_result(entered, 100) == entered


def test_a_result_keeps_its_usage_when_it_is_too_large():
    entered = enter_result(EffectResult("x" * 101, usage={"tokens": 3}), 100)

    assert entered.usage == {"tokens": 3}


@pytest.mark.parametrize("detail", ["\ud800" * 5_000, None, 5, b"x"])
def test_the_sentence_of_a_failure_is_bounded_and_clean(detail):
    entered = enter_result(EffectResult(None, Code.TOOL_FAILED, detail), 10)

    assert entered.code == Code.TOOL_FAILED
    assert len(entered.detail) <= 2_000
    entered.detail.encode()
    assert enter_result(entered, 10) == entered


def test_small_values_are_kept_as_they_are_and_large_ones_by_hash():
    reference = BlobRef(bytes(32))
    for value in (None, 5, "short", reference):
        assert keep(value, 10) == (value, None)

    large, data = keep("x" * 20, 10)
    assert isinstance(large, BlobRef)
    assert data == ENCODER.encode("x" * 20)
    assert repr(reference) == "blob:" + "00" * 32
    assert len({large, keep("x" * 20, 10)[0], reference}) == 2
    assert large != "x"


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        (Envelope("alice", Read(5)), "id must be text, not an integer"),
        (Envelope(["alice"], Read("x")), "principal must be text, not a list"),
        (Envelope("alice", Invoke("x", "y", [1])), "args must be an object, not a list"),
        (Envelope("alice", None), "an action is one of Invoke, Read, Write"),
        (Envelope("alice", Signal("bob", "x")), "an action is one of Invoke, Read, Write"),
        (Envelope("alice", ["x"]), "an action is one of Invoke, Read, Write"),
        (Envelope("alice", Write("x", "y", interface=({},))), "missing required field `name`"),
        (Envelope("alice", Read("x"), "much"), "price_max_scrip must be an integer or nothing"),
        (Envelope("alice", Read("x"), 2**70), "an integer has at most 64 bits"),
        (Envelope("alice", Read("x"), -1), "price_max_scrip and compute_max are from 0"),
        (Envelope("alice", Read("x"), None, -1), "price_max_scrip and compute_max are from 0"),
        (
            Envelope("alice", Write("x", "y", interface=(5,))),
            "a part of interface must be an object, not an integer",
        ),
    ],
)
def test_a_misfit_is_told_by_the_name_of_its_part(envelope: Envelope, said: str):
    entry = enter(envelope, LIMITS)

    assert isinstance(entry, Malformed)
    assert said in entry.detail
