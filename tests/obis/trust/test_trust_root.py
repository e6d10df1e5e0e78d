"""Whose signature counts, attacked: the threat model's rows on signatures, each attack with its own reason."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from obis.refusal import Refused
from obis.trust import payload as types
from obis.trust.envelope import add_signature, digest, make_envelope, sign_with
from obis.trust.payload import (
    AUTHORIZATION,
    BEACON,
    ENROL_TICKET,
    GRANT,
    PRODUCT_RULE,
    REVOCATION_LIST,
)
from obis.trust.signature import P256_ORDER
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.revocation_pb2 import Beacon
from tests.obis.trust import people
from tests.obis.trust.keys import p256
from tests.obis.trust.objects import product_rule
from tests.obis.trust.people import (
    ALICE,
    BOB,
    BOB_SPARE,
    CAROL,
    DAVE,
    END,
    ERIN,
    FAITH,
    ONLINE,
    signed_root,
    trust_root,
)

RULE = product_rule().SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def view():
    return people.view()


def rule(*signers):
    return make_envelope(PRODUCT_RULE, RULE, signers)


def test_two_persons_are_a_quorum_and_are_named(view):
    verified = view.verify(rule(BOB, CAROL), PRODUCT_RULE)

    assert verified.persons == {"bob", "carol"}
    assert verified.keys == {BOB.key_id, CAROL.key_id}
    assert (verified.message, verified.payload, verified.digest) == (product_rule(), RULE, digest(RULE))


@pytest.mark.parametrize("signers", [(), (BOB,)], ids=["nobody", "one of two"])
def test_one_signature_too_few_is_refused(view, signers):
    with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
        view.verify(rule(*signers), PRODUCT_RULE)


def test_one_person_with_two_keys_counts_once(view):
    with pytest.raises(Refused, match="THRESHOLD_NOT_MET: 1 of 2"):
        view.verify(rule(BOB, BOB_SPARE), PRODUCT_RULE)


def test_the_proposer_never_counts(view):
    for signers in ((ALICE, BOB), (ALICE, BOB, CAROL)):
        with pytest.raises(Refused, match="PROPOSER_SIGNED"):
            view.verify(rule(*signers), PRODUCT_RULE)


def test_a_partial_quorum_is_told_apart_from_a_whole_one(view):
    assert view.verify_partial(rule(), PRODUCT_RULE).persons == frozenset()
    assert view.verify_partial(rule(BOB), PRODUCT_RULE).persons == {"bob"}
    with pytest.raises(Refused, match="PROPOSER_SIGNED"):
        view.verify_partial(rule(ALICE), PRODUCT_RULE)


def test_every_scheme_counts(view):
    envelope = rule(FAITH)
    envelope = add_signature(envelope, ERIN.assertion(PRODUCT_RULE, RULE))

    assert view.verify(envelope, PRODUCT_RULE).persons == {"erin", "faith"}
    assert view.verify(rule(BOB_SPARE, DAVE), PRODUCT_RULE).persons == {"bob", "dave"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"flags": 0x01},
        {"flags": 0x04},
        {"rp_id": "evil.example"},
        {"origin": "https://evil.example"},
        {"type": "webauthn.create"},
        {"challenge": "AAAA"},
        {"crossOrigin": True},
    ],
    ids=str,
)
def test_a_passkey_assertion_for_something_else_is_refused(view, wrong):
    envelope = add_signature(rule(CAROL), ERIN.assertion(PRODUCT_RULE, RULE, **wrong))

    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        view.verify(envelope, PRODUCT_RULE)


def test_a_key_the_root_does_not_know_is_refused_even_beside_a_quorum(view):
    with pytest.raises(Refused, match="KEY_UNKNOWN"):
        view.verify(rule(BOB, CAROL, p256("stranger")), PRODUCT_RULE)


def test_a_key_without_the_role_is_refused_even_beside_a_quorum(view):
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.verify(rule(BOB, CAROL, ONLINE), PRODUCT_RULE)


def test_a_stolen_online_key_signs_no_rule(view):
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.verify(rule(ONLINE), PRODUCT_RULE)


def test_a_signature_under_another_keys_name_is_refused(view):
    envelope = rule(BOB, CAROL)
    sigs = list(envelope.signatures)
    sigs[0].sig, sigs[1].sig = sigs[1].sig, sigs[0].sig

    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        view.verify(envelope, PRODUCT_RULE)


@pytest.mark.parametrize("scheme", [SigScheme.SIG_SCHEME_ED25519, SigScheme.SIG_SCHEME_WEBAUTHN_ES256])
def test_the_envelope_does_not_choose_the_scheme(view, scheme):
    envelope = rule(BOB, CAROL)
    envelope.signatures[0].scheme = scheme

    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        view.verify(envelope, PRODUCT_RULE)


def test_webauthn_data_beside_a_plain_signature_is_refused(view):
    envelope = rule(BOB, CAROL)
    envelope.signatures[0].client_data_json = b"{}"

    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        view.verify(envelope, PRODUCT_RULE)


def test_a_signature_moved_to_another_type_is_refused(view):
    """The type is inside the signature (DSSE): a rule's signatures do not make a grant, a list or a ticket."""
    moved = rule(BOB, CAROL)
    moved.payload_type = GRANT.text
    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        view.verify(moved, GRANT)
    for other in (GRANT, AUTHORIZATION, REVOCATION_LIST, ENROL_TICKET):
        with pytest.raises(Refused, match="PAYLOAD_TYPE_UNEXPECTED"):
            view.verify(rule(BOB, CAROL), other)


def test_every_type_but_those_of_foreign_keys_has_a_role():
    table = [each for each in vars(types).values() if isinstance(each, types.PayloadType)]
    without = {each.text.split(".")[2] for each in table if each.role is None}

    assert len({each.text for each in table}) == len(table) == 21
    assert without == {"enrol-request", "pai-request", "person-request", "device-report", "debug-response", "vault-act"}


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.ci)])
def test_every_flipped_bit_of_signed_objects_is_refused(view, step):
    beacon = make_envelope(BEACON, Beacon(time=1, sequence=1).SerializeToString(), [people.BEACON])
    signed = ((rule(BOB, CAROL), PRODUCT_RULE), (beacon, BEACON), (rule(FAITH, DAVE), PRODUCT_RULE))
    for envelope, payload_type in signed:
        for forged in flipped(envelope, step):
            with pytest.raises(Refused):
                view.verify(forged, payload_type)
    for forged in flipped(signed_root(trust_root(2)), 23 * step):
        with pytest.raises(Refused):
            view.extend(forged)


def flipped(envelope, step):
    """The envelope with one bit changed, wherever the result is still an envelope at all."""
    data = envelope.SerializeToString(deterministic=True)
    for at in range(0, len(data) * 8, step):
        forged = bytearray(data)
        forged[at // 8] ^= 1 << at % 8
        try:
            parsed = Envelope.FromString(bytes(forged))
        except Exception:  # noqa: BLE001 - what does not parse cannot be verified
            continue
        yield parsed


def high_s(der):
    r, s = decode_dss_signature(der)
    return encode_dss_signature(r, P256_ORDER - s)


def long_form(der):
    return bytes([0x30, 0x81, der[1]]) + der[2:]


def padded_r(der):
    return bytes([0x30, der[1] + 1, 0x02, der[3] + 1, 0x00]) + der[4:]


@pytest.mark.parametrize("bend", [high_s, long_form, padded_r, lambda der: der + b"\0", lambda der: b"\x30\x00"])
def test_only_one_encoding_of_a_signature_is_accepted(view, bend):
    """High S, long-form length, padded integer, trailing byte: all would verify in a lenient library."""
    envelope = rule(BOB, CAROL)
    envelope.signatures[0].sig = bend(envelope.signatures[0].sig)

    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        view.verify(envelope, PRODUCT_RULE)


def test_no_key_signs_twice_and_order_is_fixed(view):
    with pytest.raises(Refused, match="ALREADY_SIGNED"):
        rule(BOB, BOB)
    for reorder in (lambda sigs: sigs[::-1], lambda sigs: [sigs[0], *sigs]):
        envelope = rule(BOB, CAROL)
        forged = Envelope(
            payload=envelope.payload,
            payload_type=envelope.payload_type,
            signatures=reorder(list(envelope.signatures)),
        )
        with pytest.raises(Refused, match="MALFORMED: signatures are not sorted"):
            view.verify(forged, PRODUCT_RULE)


def test_unknown_fields_are_refused_wherever_they_stand(view):
    unknown = bytes.fromhex("f8072a")  # field 127
    signed = Envelope(payload=RULE + unknown, payload_type=PRODUCT_RULE.text)
    for signer in (BOB, CAROL):
        signed = add_signature(signed, sign_with(PRODUCT_RULE, RULE + unknown, signer))
    nested = product_rule()
    nested.keys[0].MergeFromString(unknown)
    deep = Envelope(payload=nested.SerializeToString(deterministic=True), payload_type=PRODUCT_RULE.text)
    for signer in (BOB, CAROL):
        deep = add_signature(deep, sign_with(PRODUCT_RULE, deep.payload, signer))
    outer = Envelope.FromString(rule(BOB, CAROL).SerializeToString() + unknown)
    for envelope in (signed, deep, outer):
        with pytest.raises(Refused, match="UNKNOWN_FIELD"):
            view.verify(envelope, PRODUCT_RULE)


def test_two_readings_of_the_same_signed_bytes_are_refused(view):
    """A field twice (the last wins here, the first elsewhere), or a default spelled out: signed, and refused."""
    for doubled in (RULE + product_rule().SerializeToString(), RULE + b"\x12\x03Zoo"):
        envelope = Envelope(payload=doubled, payload_type=PRODUCT_RULE.text)
        for signer in (BOB, CAROL):
            envelope = add_signature(envelope, sign_with(PRODUCT_RULE, doubled, signer))
        with pytest.raises(Refused, match="MALFORMED"):
            view.verify(envelope, PRODUCT_RULE)


def test_a_broken_field_is_refused_before_anybody_signs_it():
    with pytest.raises(Refused, match="MALFORMED") as refusal:
        make_envelope(BEACON, Beacon(sequence=1).SerializeToString(), [people.BEACON])
    assert refusal.value.where.endswith("time")


def test_an_expired_root_takes_nothing_new_and_lets_the_old_stand(view):
    view.verify(rule(BOB, CAROL), PRODUCT_RULE, now=END - 1)
    with pytest.raises(Refused, match="EXPIRED"):
        view.verify(rule(BOB, CAROL), PRODUCT_RULE, now=END)
    view.verify(rule(BOB, CAROL), PRODUCT_RULE)


def test_a_revoked_key_no_longer_counts(view):
    with pytest.raises(Refused, match="REVOKED"):
        view.without([BOB.key_id]).verify(rule(BOB, CAROL, DAVE), PRODUCT_RULE)


def test_more_signatures_than_sixteen_or_bytes_than_256_kib_are_refused(view):
    many = rule()
    for each in range(16):
        many = add_signature(many, sign_with(PRODUCT_RULE, RULE, p256(f"many {each}")))
    with pytest.raises(Refused, match="TOO_LARGE"):
        add_signature(many, sign_with(PRODUCT_RULE, RULE, p256("one more")))
    with pytest.raises(Refused, match="TOO_LARGE"):
        view.verify(Envelope(payload=bytes(262144), payload_type=PRODUCT_RULE.text), PRODUCT_RULE)
