"""What a station checks of EdgeHSM's and the chip's answers before it goes on. It trusts neither."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from obis.matter.certificate import read_certificate
from obis.matter.csr import PublicKey, parse_csr
from obis.matter.errors import MatterError
from obis.matter.findings import errors_of
from obis.matter.lint_chain import lint_issued
from obis.matter.names import attestation_ids
from obis.refusal import Refused, reason_of
from obis.trust.envelope import verify_single
from obis.trust.payload import DEVICE_REPORT
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import Envelope, SigScheme
from obis.v1.reason_pb2 import Reason
from station.order import Order


def requested_key(csr_der: bytes) -> PublicKey:
    """The chip's key, possession proved. Raises Refused with the reason of `obis.matter.csr`."""
    try:
        return parse_csr(csr_der)
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, "request of the chip") from None


def require_dac(order: Order, dac_der: bytes, key: PublicKey) -> bytes:
    """The DAC's serial number, if it is one of this order, for this key, signed by its PAI, and passes the lint.

    PAI and PAA were judged with the order. Raises Refused CERTIFICATE_LINT_FAILED or SIGNATURE_INVALID.
    """
    faults = errors_of(lint_issued(order.pai_der, dac_der))
    if faults:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, faults)), "DAC")
    require_signed_by(order.pai_der, dac_der)
    dac = read_certificate(dac_der)
    named = attestation_ids(dac.subject)
    if dac.point() != key.point or (named.vendor_id, named.product_id) != (order.vendor_id, order.product_code):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the DAC is for another key or product", "DAC")
    return dac.serial.content


def require_signed_by(issuer_der: bytes, child_der: bytes) -> None:
    """Raises Refused SIGNATURE_INVALID unless the issuer's key signed the child; both have been linted."""
    child = read_certificate(child_der)
    try:
        _key_in(issuer_der).verify(child.signature, child.tbs.raw, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "its issuer's key did not sign it", "certificate") from None


@lru_cache(maxsize=64)
def _key_in(certificate_der: bytes) -> ec.EllipticCurvePublicKey:
    """A line has a handful of issuers, and asks for each of them thousands of times."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), read_certificate(certificate_der).point())


def require_report(report: Envelope, expected: DeviceReport, spki_der: bytes) -> None:
    """Raises Refused unless the chip's key signed that it is what `expected` says, locked, with debug shut."""
    said = verify_single(report, DEVICE_REPORT, spki_der, SigScheme.SIG_SCHEME_P256)
    wanted = (
        ("auth_id", said.auth_id == expected.auth_id),
        ("device", said.device == expected.device),
        ("boundary_nonce", said.boundary_nonce == expected.boundary_nonce),
        ("agent_digest", said.agent_digest == expected.agent_digest),
        ("firmware_digest", said.firmware_digest == expected.firmware_digest),
        ("factory_data_digest", said.factory_data_digest == expected.factory_data_digest),
        ("lifecycle", said.lifecycle == Lifecycle.LIFECYCLE_LOCKED),
        ("debug_state", said.debug_state == DebugState.DEBUG_STATE_LOCKED),
    )
    for name, is_so in wanted:
        if not is_so:
            raise Refused(Reason.REASON_REPORT_MISMATCH, "the chip reports something else", f"report.{name}")


def spki_of_certificate(certificate_der: bytes) -> bytes:
    """DER SubjectPublicKeyInfo in a certificate that has been linted."""
    return read_certificate(certificate_der).spki.raw


def digest(octets: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return sha256(octets).digest()
