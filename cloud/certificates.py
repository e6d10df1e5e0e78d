"""Public certificates the cloud keeps: its transport CA's, the vault's site root, and the PAAs.

The vault says which they are; the trust root (site root) and the ProductRule (PAA, by digest) say whether that is true.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from sqlmodel import Session, col, select

from cloud.store.governance import CertificateRow
from obis.matter.certificate import read_certificate
from obis.matter.names import attestation_ids
from obis.refusal import Refused
from obis.v1.reason_pb2 import Reason

TRANSPORT_CA: Final = "transport-ca"
SITE_ROOT: Final = "site-root"
PAA: Final = "paa"


def keep(session: Session, name: str, der: bytes) -> bytes:
    """Keep a certificate under a name; returns its SHA-256. The same again changes nothing."""
    digest = sha256(der).digest()
    session.merge(CertificateRow(digest=digest, name=name, der=der))
    return digest


def one(session: Session, name: str) -> bytes:
    """DER of the only certificate of this name. Raises Refused DEPENDENCY_MISSING."""
    der = session.exec(select(CertificateRow.der).where(CertificateRow.name == name)).first()
    if der is None:
        raise Refused(
            Reason.REASON_DEPENDENCY_MISSING, f"the {name} certificate is not here yet", name, "start the vault"
        )
    return der


def paa(session: Session, digest: bytes) -> bytes:
    """DER of a PAA by its SHA-256. Raises Refused DEPENDENCY_MISSING."""
    row = session.get(CertificateRow, digest)
    if row is None or row.name != PAA:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "the vault has not shown this PAA", "paa", "start the vault")
    return row.der


def paa_for(session: Session, vendor_id: int) -> bytes:
    """DER of the PAA of a vendor id. Raises Refused DEPENDENCY_MISSING."""
    query = select(CertificateRow.der).where(CertificateRow.name == PAA).order_by(col(CertificateRow.digest))
    for der in session.exec(query):
        if attestation_ids(read_certificate(der).subject).vendor_id == vendor_id:
            return der
    raise Refused(
        Reason.REASON_DEPENDENCY_MISSING,
        f"the vault has no PAA for vendor {vendor_id:04X}",
        "vendor_id",
        "start the vault",
    )
