"""Edges of the floor that no story passes: sizes, indices, keys of other curves, padding in a note."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.refusal import Refused
from obis.trust.checkpoint import Checkpoint, Note, NoteLine, log_origin, parse_note, sign_note, verify_note
from obis.trust.merkle import Tree, leaf_hash, verify_consistency, verify_inclusion
from obis.trust.payload import BEACON, PRODUCT_RULE, parse_closed
from obis.trust.signature import load_public_key
from obis.trust.webauthn import signed_bytes
from obis.v1.envelope_pb2 import Sig, SigScheme
from obis.v1.trust_root_pb2 import RootRole
from tests.obis.trust import people
from tests.obis.trust.keys import ERIN_PARTY, ed, p256
from tests.obis.trust.objects import product_rule
from tests.obis.trust.people import BOB, ERIN, ONLINE

ORIGIN = log_origin("edge-1", 1)


def test_bytes_beyond_the_limit_are_not_even_parsed():
    with pytest.raises(Refused, match="TOO_LARGE"):
        parse_closed(BEACON, bytes(262145))


def test_what_does_not_parse_is_malformed():
    with pytest.raises(Refused, match="MALFORMED: the bytes do not parse"):
        parse_closed(BEACON, b"\xff\xff")


def test_a_key_on_another_curve_is_refused():
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    spki_der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        load_public_key(spki_der, SigScheme.SIG_SCHEME_P256)


def test_a_point_in_another_form_is_refused():
    """The same key with a compressed point, or with a longer length: the same meaning, other bytes, another key id."""
    key = p256("a").private.public_key()
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    spki_der = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + compressed
    longer = b"\x30\x81" + p256("a").spki[1:]

    for form in (spki_der, longer):
        with pytest.raises(Refused, match="MALFORMED"):
            load_public_key(form, SigScheme.SIG_SCHEME_P256)


@pytest.mark.parametrize("client", [b"{", b"\xff", b"[]", b"null"])
def test_client_data_that_is_no_object_is_refused(client):
    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        signed_bytes(b"pae", Sig(key_id=ERIN.key_id, client_data_json=client), ERIN_PARTY)


def test_a_passkey_without_a_relying_party_is_refused():
    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        signed_bytes(b"pae", Sig(key_id=ERIN.key_id), None)


def test_padding_before_a_notes_signature_is_refused():
    """The key hash is right and the last 64 bytes verify; the line is longer than its type."""
    key = ed("log")
    note = sign_note(Checkpoint(ORIGIN, 0, bytes(32)), key.spki, key.sign)
    line = parse_note(note).lines[0]
    padded = Note(parse_note(note).checkpoint, (NoteLine(line.name, line.key_hash, bytes(8) + line.signature),)).data()

    assert verify_note(note, ORIGIN, key.spki).size == 0
    with pytest.raises(Refused, match="SIGNATURE_INVALID: the note's signature has another length"):
        verify_note(padded, ORIGIN, key.spki)


def test_a_tree_knows_its_own_size():
    tree = Tree([leaf_hash(b"a"), leaf_hash(b"b")])
    asks = (
        lambda: tree.leaf(2),
        lambda: tree.root(3),
        lambda: tree.inclusion_proof(2),
        lambda: tree.inclusion_proof(0, 3),
        lambda: tree.consistency_proof(3),
        lambda: tree.consistency_proof(2, 1),
    )
    for ask in asks:
        with pytest.raises(IndexError):
            ask()


def test_proofs_about_nothing_are_refused():
    root = leaf_hash(b"a")
    for ask in (
        lambda: verify_inclusion(root, 1, 1, [], root),
        lambda: verify_inclusion(root, 0, 0, [], root),
        lambda: verify_consistency(0, 1, [root], root, root),
        lambda: verify_consistency(1, 1, [], root, bytes(32)),
        lambda: verify_consistency(3, 5, [], root, root),
    ):
        with pytest.raises(Refused, match="BROKEN_CHAIN"):
            ask()


def test_what_a_view_says_of_its_root():
    view = people.view()

    assert view.holder(BOB.key_id) == "bob"
    assert view.holder(ONLINE.key_id) == ONLINE.key_id
    assert view.persons["bob"].name == "Bob"
    assert [key.key_id for key in view.keys_of(RootRole.ROOT_ROLE_ONLINE)] == [ONLINE.key_id]
    with pytest.raises(Refused, match="KEY_UNKNOWN"):
        view.holder("0" * 64)


def test_a_role_nobody_holds_is_held_by_nobody():
    roles = {role: rule for role, rule in people.ROLES.items() if role != RootRole.ROOT_ROLE_VOUCHER}
    envelope = people.signed_root(people.trust_root(1, roles))
    view = people.walked(envelope)

    assert view.keys_of(RootRole.ROOT_ROLE_VOUCHER) == ()
    with pytest.raises(Refused, match="ROLE_NOT_HELD"):
        view.threshold(RootRole.ROOT_ROLE_VOUCHER)


def test_a_field_that_breaks_its_rule_is_named():
    bent = product_rule()
    bent.keys[0].name = "NOT ALLOWED"
    with pytest.raises(Refused) as refusal:
        parse_closed(PRODUCT_RULE, bent.SerializeToString(deterministic=True))

    assert refusal.value.where == f"{PRODUCT_RULE.text} keys.name"
