"""Which CA may name whom, checked again behind TLS.

TLS believes any root it was given for any name. A server that two CAs may call (a site's and the cloud's) therefore
checks each leaf itself:

1. it carries exactly one URI, and that is a name of this mesh (obis/mesh/identity.py);
2. a CA is pinned for the URI's host;
3. one of the CAs pinned for that host signed this leaf directly (issuer name and signature);
4. leaf and CA are within their validity;
5. it is a P-256 leaf, not a CA.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obis.mesh.identity import Identity, Peer
from obis.refusal import Refused
from obis.v1 import reason_pb2

_REMEMBERED: Final = 4096  # leaves; a large site has some hundred stations


class Authorities:
    """The CAs a room believes, by the host they may name; more than one a host while it changes its CA."""

    def __init__(self, pinned: Mapping[str, Sequence[x509.Certificate]]) -> None:
        self._pinned = {host: tuple(certificates) for host, certificates in pinned.items()}
        self._seen: OrderedDict[bytes, Peer] = OrderedDict()

    def roots_pem(self, host: str | None = None) -> bytes:
        """The CA certificates of one host, or of all, as TLS wants them; raises KeyError for a host without CA."""
        chosen = self._pinned.values() if host is None else [self._pinned[host]]
        return b"".join(each.public_bytes(Encoding.PEM) for certificates in chosen for each in certificates)

    def identify(self, leaf_pem: bytes, now: datetime) -> Peer:
        """Who shows this leaf; raises Unidentified with the rule that it breaks."""
        digest = hashlib.sha256(leaf_pem).digest()
        peer = self._seen.get(digest)
        if peer is None:
            peer = self._check(x509.load_pem_x509_certificate(leaf_pem), now)
            self._remember(digest, peer)
        if peer.valid_until is not None and now > peer.valid_until:
            raise _unidentified("its certificate has expired", "renew it")
        return peer

    def _remember(self, digest: bytes, peer: Peer) -> None:
        self._seen[digest] = peer
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _check(self, leaf: x509.Certificate, now: datetime) -> Peer:
        identity = _only_name(leaf)
        issuers = [each for each in self._pinned.get(identity.host, ()) if _signed(each, leaf)]
        if not issuers:
            raise _unidentified(f"no CA pinned for {identity.host} signed it", "enrol at that host")
        until = min(leaf.not_valid_after_utc, max(each.not_valid_after_utc for each in issuers))
        if not leaf.not_valid_before_utc <= now <= until:
            raise _unidentified("its certificate, or its CA's, is not valid now", "renew it, or set the clock")
        _check_leaf(leaf)
        key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return Peer(identity.role, identity.id, identity.factory_id, hashlib.sha256(key).digest(), until)


def _only_name(leaf: x509.Certificate) -> Identity:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        return Identity.parse(uri)
    except (x509.ExtensionNotFound, ValueError):
        raise _unidentified("its certificate names nobody of this mesh", "enrol") from None


def _signed(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_leaf(leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise _unidentified("its key is not on P-256", "enrol with another key")
    try:
        is_ca = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if is_ca:
        raise _unidentified("its certificate is a CA's", "enrol")


def _unidentified(why: str, next_step: str) -> Refused:
    return Refused(reason_pb2.REASON_IDENTITY_UNKNOWN, f"the caller is not known: {why}", next_step=next_step)
