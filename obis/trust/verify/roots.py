"""The trust root with its history, and what stands directly on it: the manifest and the mesh's own certificates.

An object is judged by the newest version of the root that accepts it: one signed before a key left stays what it was.
`Roots.older` counts objects that only an older version accepts, and the verdict says how many; that they were signed
in time is shown by the logs, which admitted them before they admitted the newer root (`replay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import Message

from obis.refusal import Refused
from obis.trust.envelope import digest, parse_envelope
from obis.trust.payload import EXPORT_MANIFEST, PayloadType
from obis.trust.trust_root import TrustRootView, Verified, walk
from obis.trust.verify.files import MANIFEST, SITE_ROOT, TRANSPORT_CA, Entry, Files, get_file
from obis.trust.verify.place import at
from obis.v1.export_pb2 import ExportManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootKey, RootRole

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Judged(Verified[M]):
    """A verified object and the version of the trust root by which it stands."""

    root_version: int = 0


@dataclass(frozen=True)
class Roots:
    """Every version of the trust root, oldest first."""

    views: tuple[TrustRootView, ...]

    @property
    def newest(self) -> TrustRootView:
        """The version in force."""
        return self.views[-1]

    @property
    def fingerprint(self) -> bytes:
        """Of version 1, 32 bytes."""
        return self.newest.fingerprint

    def judge(self, files: Files, path: str, payload_type: PayloadType[M]) -> Judged[M]:
        """The object in a file, by the newest version that accepts it. Raises what the newest version says."""
        with at(path):
            envelope = parse_envelope(get_file(files, path))
            refusals = []
            for view in reversed(self.views):
                try:
                    found = view.verify(envelope, payload_type)
                except Refused as refused:
                    refusals.append(refused)
                else:
                    return Judged(found.message, found.payload, found.digest, found.persons, found.keys, view.version)
            raise refusals[0]

    def keys_of(self, role: RootRole.ValueType) -> list[RootKey]:
        """Keys that ever held a role, newest version first."""
        keys = {key.key_id: key for view in reversed(self.views) for key in view.keys_of(role)}
        return list(keys.values())

    def require_site(self, factory_id: str) -> None:
        """Raises Refused WRONG_FACTORY unless some version names the site."""
        if not any(site.factory_id == factory_id for view in self.views for site in view.root.sites):
            raise Refused(Reason.REASON_WRONG_FACTORY, "the trust root names no such site", factory_id)

    def site_root_spkis(self) -> set[bytes]:
        """Keys of the vault's site root that any version names."""
        return {view.root.site_root_spki_der for view in self.views}


def load_roots(files: Files, entries: list[Entry], fingerprint: bytes | None) -> Roots:
    """Walk the versions of an export. Without a fingerprint the first version names itself: not confirmed."""
    if not entries:
        raise Refused(Reason.REASON_DEPENDENCY_MISSING, "the file is missing", "trust/root-0001.dsse")
    with at(entries[0].path):
        first = parse_envelope(get_file(files, entries[0].path))
        views = [walk([first], fingerprint if fingerprint is not None else digest(first.payload))]
    for entry in entries[1:]:
        with at(entry.path):
            views.append(views[-1].extend(parse_envelope(get_file(files, entry.path))))
    for entry, view in zip(entries, views, strict=True):
        if entry.number(0) != view.version:
            raise Refused(Reason.REASON_TRUST_ROOT_STALE, f"the file holds version {view.version}", entry.path)
    return Roots(tuple(views))


def load_manifest(files: Files, roots: Roots) -> ExportManifest:
    """The manifest, signed by the newest root's ONLINE key, of this mesh."""
    with at(MANIFEST):
        envelope = parse_envelope(get_file(files, MANIFEST))
        manifest = roots.newest.verify(envelope, EXPORT_MANIFEST).message
        if manifest.exported_at >= roots.newest.root.expires_at:
            raise Refused(Reason.REASON_EXPIRED, "exported after the trust root had expired")
        if manifest.fingerprint != roots.fingerprint:
            raise Refused(Reason.REASON_TRUST_ROOT_INVALID, "the manifest is of another mesh")
    return manifest


def check_mesh_certificates(files: Files, roots: Roots) -> x509.Certificate:
    """The transport CA's and the site root's certificates hold keys the root names; returns the site root's."""
    _self_signed(files, TRANSPORT_CA, {view.root.transport_ca_spki_der for view in roots.views})
    return _self_signed(files, SITE_ROOT, roots.site_root_spkis())


def _self_signed(files: Files, path: str, spkis: set[bytes]) -> x509.Certificate:
    with at(path):
        certificate = load_certificate(get_file(files, path))
        if spki_of(certificate) not in spkis:
            raise Refused(Reason.REASON_KEY_UNKNOWN, "the trust root names another key")
        require_issued(certificate, certificate)
    return certificate


def load_certificate(certificate_der: bytes) -> x509.Certificate:
    """A certificate, in the one DER form of its bytes. Raises Refused MALFORMED."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
    except ValueError as error:
        raise Refused(Reason.REASON_MALFORMED, "not a certificate") from error
    if certificate.public_bytes(Encoding.DER) != certificate_der:
        raise Refused(Reason.REASON_MALFORMED, "the certificate is not in its one form")
    return certificate


def require_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Raises Refused SIGNATURE_INVALID."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise Refused(Reason.REASON_SIGNATURE_INVALID, "not issued by its issuer's key") from error


def spki_of(certificate: x509.Certificate) -> bytes:
    """The DER SubjectPublicKeyInfo of a certificate."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
