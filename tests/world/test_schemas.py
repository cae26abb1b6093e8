import pytest

from scripworld.world import Limits, SchemaError, Validator

LIMITS = Limits()
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def test_a_value_that_is_not_among_those_there_are_is_told_which_there_are():
    validator = Validator({"properties": {"method": {"enum": ["GET", "HEAD"]}}}, LIMITS)

    assert validator.explain({"method": "POST"}) == "method must be one of 'GET', 'HEAD'"


def test_undeclared_arguments_are_refused_unless_the_schema_is_open():
    closed = Validator(NAME, LIMITS)
    opened = Validator({**NAME, "additionalProperties": True}, LIMITS)

    assert closed.is_valid({"name": "x"})
    assert not closed.is_valid({"name": "x", "more": 1})
    assert opened.is_valid({"name": "x", "more": 1})
    assert not Validator({}, LIMITS).is_valid({"x": 1})


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (NAME, {}, "the arguments lack 'name'"),
        ({"type": "object"}, {"to": "x"}, "the arguments may not have 'to'"),
        (NAME, {"name": 5}, "name must be of type string"),
        (NAME, {"name": "x", "a": 1, "b": 2}, "the arguments may not have 'a', 'b'"),
        ({"properties": {"n": {"maximum": 3}}}, {"n": 4}, "n breaks maximum 3"),
        ({"properties": {"n": {"enum": [1]}}}, {"n": 4}, "n must be one of 1"),
        ({"properties": {"n": {"type": ["string", "null"]}}}, {"n": 4}, "type null or string"),
        ({"properties": {"n": {"pattern": "^a+$"}}}, {"n": "b"}, "n breaks pattern"),
        ({"properties": {"n": NAME}}, {"n": {}}, "n lacks 'name'"),
        ({"properties": {"n": {"items": {"minLength": 2}}}}, {"n": ["a"]}, "n.0 breaks minLength"),
    ],
)
def test_it_says_in_a_sentence_what_does_not_fit(schema, value, said):
    validator = Validator(schema, LIMITS)

    assert not validator.is_valid(value)
    assert said in validator.explain(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (NAME, {"name": "x"} | {f"name {n}": n for n in range(5_000)}),
        (NAME, {"name": "x", "y" * 100_000: 1}),
        ({"required": ["z" * 100_000]}, {}),
        ({"additionalProperties": {"type": "null"}}, {"y" * 100_000: 1}),
    ],
)
def test_what_it_says_is_short_whatever_is_asked(schema, value):
    assert len(Validator(schema, LIMITS).explain(value)) < 500


def test_it_says_the_first_few_things_that_do_not_fit():
    properties = {name: {"type": "string"} for name in "abcdef"}
    validator = Validator({"properties": properties}, LIMITS)

    assert validator.explain(dict.fromkeys("abcdef", 1)).count(";") == 2


def test_a_local_definition_can_be_named():
    schema = {
        "properties": {"n": {"$ref": "#/$defs/small"}},
        "$defs": {"small": {"maximum": 3}},
    }

    assert not Validator(schema, LIMITS).is_valid({"n": 4})
    assert Validator(schema, LIMITS).is_valid({"n": 3})


def test_the_dialect_that_a_schema_names_is_not_followed():
    assert Validator({"$schema": "http://example.org/other"}, LIMITS).is_valid({})


def deep(levels: int) -> dict:
    return {"not": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "http://example.org/x.json"}, "a reference points at"),
        ({"$ref": "file:///etc/passwd"}, "a reference points at"),
        ({"$ref": "#"}, "a reference points at"),
        ({"$ref": "#/$defs/a/b"}, "a reference points at"),
        ({"$ref": 5}, "a reference points at"),
        ({"$dynamicRef": "#/$defs/a"}, "a reference points at"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "may not hold a reference"),
        ({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}}}, "may not hold a reference"),
        ({"$ref": "#/$defs/missing"}, "not a JSON Schema"),
        ({"$id": "x"}, "has no $id"),
        ({"$anchor": "x"}, "has no $anchor"),
        ({"type": "nonsense"}, "not a JSON Schema"),
        ({"properties": {"n": {"pattern": "(?<!x)y"}}}, "not a JSON Schema"),
        ({"enum": list(range(2_001))}, "at most 2000 nodes"),
        (deep(40), "levels deep"),
    ],
)
def test_a_schema_beyond_the_bounds_is_refused(schema, said):
    with pytest.raises(SchemaError) as error:
        Validator(schema, LIMITS)

    assert said in str(error.value)


def test_a_pattern_takes_linear_time():
    validator = Validator({"properties": {"n": {"pattern": "^(a+)+$"}}}, LIMITS)

    assert not validator.is_valid({"n": "a" * 5_000 + "b"})
