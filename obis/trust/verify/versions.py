"""A Product Version as the Grant's signers saw it: the exact manifest bytes behind version_digest.

What the Grant repeats of it (product, chip family, digests) is what it says, and where the rule names signers of the
certification declaration, the declaration is signed by one of them and made for this product.
"""

from __future__ import annotations

from hashlib import sha1, sha256

from obis.matter.declaration import verify_declaration
from obis.refusal import Refused
from obis.trust.payload import parse_message
from obis.trust.verify.files import Files, get_file
from obis.trust.verify.place import at
from obis.v1.grant_pb2 import Grant
from obis.v1.package_pb2 import VersionManifest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import ProductRule

_POINT_BYTES = 65


def check_version(files: Files, grant: Grant, rule: ProductRule) -> VersionManifest:
    """The manifest a Grant names. Raises Refused."""
    path = f"versions/{grant.version_digest.hex()}.bin"
    content = get_file(files, path)
    with at(path):
        if sha256(content).digest() != grant.version_digest:
            raise Refused(Reason.REASON_DIGEST_MISMATCH, "the file is not named after its digest")
        manifest = parse_message(VersionManifest, content, "VersionManifest")
        _check_repeated(grant, manifest)
        if rule.cd_signer_spki_der:
            _check_declaration(manifest, rule)
    return manifest


def _check_repeated(grant: Grant, manifest: VersionManifest) -> None:
    said = {
        "product_id": (grant.product_id, manifest.product_id),
        "soc": (grant.soc, manifest.soc),
        "firmware_digest": (grant.firmware_digest, manifest.firmware_digest),
        "sbom_digest": (grant.sbom_digest, manifest.sbom_digest),
        "agent_digest": (grant.agent_digest, manifest.agent_digest),
        "cd_digest": (grant.cd_digest, sha256(manifest.certification_declaration).digest()),
    }
    for name, (granted, found) in said.items():
        if granted != found:
            raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, f"the Grant says another {name}")


def _check_declaration(manifest: VersionManifest, rule: ProductRule) -> None:
    points = [spki_der[-_POINT_BYTES:] for spki_der in rule.cd_signer_spki_der]
    signers = {sha1(point, usedforsecurity=False).digest(): point for point in points}  # RFC 5280 4.2.1.2 (1)
    declaration = verify_declaration(manifest.certification_declaration, signers)
    if declaration.vendor_id != rule.vendor_id or rule.product_code not in declaration.product_ids:
        raise Refused(Reason.REASON_CD_INVALID, "the certification declaration is for another product")
