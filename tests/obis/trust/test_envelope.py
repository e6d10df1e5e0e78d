"""DSSE by its own vectors, single-key envelopes, sealed packages against an independent HPKE."""

import hmac
from base64 import b64decode
from functools import cache
from hashlib import sha256

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.refusal import Refused
from obis.trust.envelope import make_envelope, pae, parse_envelope, verify_single, verify_with_keys
from obis.trust.package import SUITE, hpke_info, open_with, seal
from obis.trust.payload import BATCH_PACKAGE, DEVICE_REPORT, PAI_REQUEST
from obis.trust.signature import P256_ORDER, load_public_key, low_s_from_raw, require_low_s
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.package_pb2 import BatchPackage
from obis.v1.scope_pb2 import DeviceId
from tests.obis.trust.keys import ed, ml_dsa, p256, rsa_spki

P256, ED25519, ML_DSA_65 = SigScheme.SIG_SCHEME_P256, SigScheme.SIG_SCHEME_ED25519, SigScheme.SIG_SCHEME_ML_DSA_65
AUTH_ID = b"a" * 16


def report():
    return DeviceReport(
        auth_id=AUTH_ID,
        device=DeviceId(soc="generic-wifi", uid=b"1234"),
        boundary_nonce=bytes(16),
        lifecycle=Lifecycle.LIFECYCLE_LOCKED,
        debug_state=DebugState.DEBUG_STATE_LOCKED,
    ).SerializeToString(deterministic=True)


def test_the_published_vector_of_dsse():
    """secure-systems-lab/dsse, protocol.md: the test vector's payload, type and PAE."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_published_signature_of_dsse_verifies():
    """The same page's key and signature: ECDSA P-256 with SHA-256, r and s as 32 bytes each, over that PAE."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()

    raw = b64decode("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")

    key.verify(low_s_from_raw(raw), pae("http://example.com/HelloWorld", b"hello world"), ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("key", "scheme"), [(p256("a"), P256), (ed("a"), ED25519), (ml_dsa("a"), ML_DSA_65)])
def test_a_key_outside_the_root_is_named_by_the_caller(key, scheme):
    envelope = make_envelope(DEVICE_REPORT, report(), [key])

    assert verify_single(envelope, DEVICE_REPORT, key.spki, scheme).auth_id == AUTH_ID


@pytest.mark.parametrize(
    ("signers", "reason"),
    [((), "THRESHOLD_NOT_MET"), (("b",), "KEY_UNKNOWN"), (("a", "b"), "KEY_UNKNOWN")],
    ids=str,
)
def test_exactly_the_named_key_must_sign(signers, reason):
    envelope = make_envelope(DEVICE_REPORT, report(), [p256(name) for name in signers])

    with pytest.raises(Refused, match=reason):
        verify_single(envelope, DEVICE_REPORT, p256("a").spki, P256)


def test_every_named_key_must_sign():
    keys = [(p256("a").spki, P256), (ed("a").spki, ED25519)]
    whole = make_envelope(DEVICE_REPORT, report(), [p256("a"), ed("a")])
    assert verify_with_keys(whole, DEVICE_REPORT, keys)
    with pytest.raises(Refused, match="THRESHOLD_NOT_MET"):
        verify_with_keys(make_envelope(DEVICE_REPORT, report(), [ed("a")]), DEVICE_REPORT, keys)


def test_another_type_or_scheme_is_refused():
    envelope = make_envelope(DEVICE_REPORT, report(), [p256("a")])
    with pytest.raises(Refused, match="PAYLOAD_TYPE_UNEXPECTED"):
        verify_single(envelope, PAI_REQUEST, p256("a").spki, P256)
    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        verify_single(envelope, DEVICE_REPORT, p256("a").spki, ED25519)


@pytest.mark.parametrize("scheme", [P256, ED25519, ML_DSA_65])
def test_keys_of_other_kinds_are_refused(scheme):
    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        load_public_key(rsa_spki("other"), scheme)
    for spki_der in (b"", bytes(91), p256("a").spki[:-1], p256("a").spki + b"\0"):
        with pytest.raises(Refused, match="MALFORMED"):
            load_public_key(spki_der, scheme)


def test_raw_signatures_of_tokens_become_the_one_form():
    r, s = 5, P256_ORDER - 7
    made = low_s_from_raw(r.to_bytes(32) + s.to_bytes(32))

    require_low_s(made)
    assert decode_dss_signature(made) == (5, 7)


def test_an_envelope_has_one_form_of_bytes():
    envelope = make_envelope(DEVICE_REPORT, report(), [p256("a")])
    data = envelope.SerializeToString(deterministic=True)
    assert parse_envelope(data) == envelope
    doubled = data + Envelope(payload_type=envelope.payload_type).SerializeToString()
    for forged, reason in (
        (doubled, "MALFORMED"),
        (data + bytes.fromhex("f80701"), "UNKNOWN_FIELD"),
        (data[:-1], "MALFORMED"),
        (b"", "MALFORMED"),
        (bytes(262145), "TOO_LARGE"),
    ):
        with pytest.raises(Refused, match=reason):
            parse_envelope(forged)


# ---- Packages ----


@cache
def package() -> bytes:
    made = BatchPackage(auth_id=AUTH_ID, edgehsm_id="edge-th", epoch=1, version_manifest=b"m", pai_cert_der=b"p")
    envelope = make_envelope(BATCH_PACKAGE, made.SerializeToString(deterministic=True), [p256("online")])
    return envelope.SerializeToString(deterministic=True)


def decrypting(key):
    return lambda sealed, info: SUITE.decrypt(sealed, key.private, info)


def test_a_package_opens_at_its_own_edgehsm():
    sealed = seal(p256("hpke").spki, package(), "edge-th", AUTH_ID)

    assert open_with(decrypting(p256("hpke")), sealed) == parse_envelope(package())
    assert package() not in sealed.sealed
    assert len(sealed.sealed) == 65 + len(package()) + 16


def test_the_context_is_bound_byte_for_byte():
    assert hpke_info("edge-th", AUTH_ID) == (
        b"obis/hpke/v1\x00"
        + sha256(b"application/vnd.obis.batch-package.v1+protobuf").digest()
        + b"\x07edge-th"
        + AUTH_ID
    )


def test_another_recipient_name_authorization_or_byte_does_not_open():
    sealed = seal(p256("hpke").spki, package(), "edge-th", AUTH_ID)
    forged = [type(sealed)() for _ in range(4)]
    for each in forged:
        each.CopyFrom(sealed)
    forged[0].edgehsm_id = "edge-vn"
    forged[1].auth_id = b"b" * 16
    forged[2].sealed = sealed.sealed[:-1] + bytes([sealed.sealed[-1] ^ 1])
    forged[3].sealed = sealed.sealed[:40]
    for each in forged:
        with pytest.raises(Refused, match="SEAL_INVALID"):
            open_with(decrypting(p256("hpke")), each)
    with pytest.raises(Refused, match="SEAL_INVALID"):
        open_with(decrypting(p256("another")), sealed)


def test_what_is_inside_must_be_an_envelope():
    sealed = seal(p256("hpke").spki, b"no envelope", "edge-th", AUTH_ID)
    with pytest.raises(Refused, match="MALFORMED"):
        open_with(decrypting(p256("hpke")), sealed)


def test_a_key_of_another_kind_is_not_sealed_to():
    with pytest.raises(Refused, match="SCHEME_MISMATCH"):
        seal(ed("a").spki, package(), "edge-th", AUTH_ID)


def test_the_suite_is_that_of_rfc_9180():
    """An opener written from the RFC alone (base mode, KEM 0x0010, KDF 0x0001, AEAD 0x0002) opens what we seal."""
    key = p256("rfc")
    info = hpke_info("edge-th", AUTH_ID)
    sealed = SUITE.encrypt(b"plaintext", key.private.public_key(), info=info)
    assert rfc9180_open(key.private, sealed, info) == b"plaintext"
    with pytest.raises(InvalidTag):
        rfc9180_open(key.private, sealed, info + b"\0")


def rfc9180_open(private, sealed, info):
    """Base mode of RFC 9180, sections 4 and 5, written from the RFC: kem 0x0010, kdf 0x0001, aead 0x0002."""

    def extract(suite, salt, label, ikm):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, context, length):
        text = length.to_bytes(2) + b"HPKE-v1" + suite + label + context
        return hmac.digest(prk, text + b"\x01", "sha256")[:length]

    kem, hpke = b"KEM\x00\x10", b"HPKE\x00\x10\x00\x01\x00\x02"
    enc, ciphertext = sealed[:65], sealed[65:]
    dh = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc))
    own = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", enc + own, 32)
    context = b"\x00" + extract(hpke, b"", b"psk_id_hash", b"") + extract(hpke, b"", b"info_hash", info)
    secret = extract(hpke, shared, b"secret", b"")
    key, nonce = expand(hpke, secret, b"key", context, 32), expand(hpke, secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")
