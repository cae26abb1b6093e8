import hashlib
from datetime import UTC, datetime

import msgspec
import pytest

from scripworld.world import DIGEST_BYTES, NO_RECORD, BlobRef, chain, digest_of, ids_of
from scripworld.world.facts import (
    Charged,
    EffectSettled,
    Encumbered,
    Fact,
    Noted,
    OwnershipTransferred,
    QuotaTransferred,
    ScripPosted,
    ScripTransferred,
)
from scripworld.world.ports import Abort, CallBack, Checked, Diverge, Raise, Return
from scripworld.world.records import ENCODER, FOLDS, RECORDS, SHELLS, VALUES

from .test_replay import busy


def test_a_hash_is_over_the_hash_before_and_the_body():
    expected = hashlib.blake2b(NO_RECORD + b"body", digest_size=32).digest()

    assert chain(NO_RECORD, b"body") == expected
    assert len(expected) == DIGEST_BYTES
    assert digest_of(b"data") == hashlib.blake2b(b"data", digest_size=32).digest()


def test_a_log_is_chained_from_nothing():
    head = NO_RECORD
    for _, digest, body in busy().rows:
        head = chain(head, body)
        assert digest == head


def test_every_record_is_decoded_to_what_was_encoded():
    for _, _, body in busy().rows:
        assert ENCODER.encode(RECORDS.decode(body)) == body
        assert ENCODER.encode(FOLDS.decode(body)) == body
        assert ENCODER.encode(SHELLS.decode(body)) == body


def test_a_reference_to_content_goes_through_the_wire():
    reference = BlobRef(bytes(range(32)))

    assert VALUES.decode(ENCODER.encode([reference])) == [reference]


@pytest.mark.parametrize("code", [0, 1, 5])
def test_another_extension_is_not_of_this_format(code: int):
    data = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, b"short"))

    with pytest.raises(ValueError, match=f"extension {code} of 5 bytes"):
        VALUES.decode(data)


def test_what_is_not_json_is_not_encoded():
    with pytest.raises(TypeError, match="object is not JSON"):
        ENCODER.encode(object())
    assert isinstance(VALUES.decode(ENCODER.encode(datetime.now(UTC))), datetime)


@pytest.mark.parametrize(
    "kinds", [Fact.__subclasses__(), (CallBack, Return, Raise, Abort, Diverge, Checked)]
)
def test_no_two_kinds_share_a_tag(kinds):
    tags = [kind.__struct_config__.tag for kind in kinds]

    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize(
    ("fact", "ids"),
    [
        (Charged("alice", 5), ("alice",)),
        (ScripTransferred("alice", "bob", 5), ("alice", "bob")),
        (QuotaTransferred("alice", "bob", "compute", 5), ("alice", "bob")),
        (OwnershipTransferred("motto", "bob", "eve"), ("motto", "bob")),
        (ScripPosted(5, "bob", 5), ("bob",)),
        (EffectSettled("5.0"), ()),
        (Noted("bank", "key", 5), ("bank",)),
        (Encumbered("motto", "bank"), ("motto",)),
    ],
)
def test_a_fact_touches_the_ids_that_it_names_as_its_own(fact, ids):
    assert ids_of(fact) == ids
