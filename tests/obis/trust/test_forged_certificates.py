"""Certificates and files that were put in an honest one's place, each with the reason that finds it."""

import pytest
from cryptography import x509

from obis.matter.ids import ProductId, VendorId
from obis.matter.pai import PaiProfile, build_pai
from obis.matter.profile import Subject
from obis.trust.envelope import make_envelope, parse_envelope
from obis.trust.payload import VAULT_ACT
from obis.trust.verify import verify_export
from tests.obis.trust import objects, people
from tests.obis.trust.floor import whole
from tests.obis.trust.forgery import AUTH, EDGE, GRANT_2, LOG, OTHER, PAI, RULE_1, changing, honest, refused, setting
from tests.obis.trust.keys import p256
from tests.obis.trust.people import BEGIN
from tests.obis.trust.pki import authority, certificate, datetime_of, paa, signed, site_ca
from tests.obis.trust.world import World

SITE_CA = f"site-ca/{EDGE}-1.der"
ACTS = "vault/acts.bin"


def putting(path, content):
    return {"files": lambda files: files | {path: content}}


def pai_by(issuer: str, product=objects.PRODUCT_CODE):
    key = p256(f"{EDGE} pai")
    subject = Subject("Forged PAI", VendorId(objects.VENDOR_ID), ProductId(product))
    said = PaiProfile(subject=subject, not_before=datetime_of(BEGIN))
    return build_pai(said, paa_der=paa(), point=key.point, serial=b"\x02" * 9, sign=p256(issuer).sign)


def unconstrained():
    issuer = x509.load_der_x509_certificate(honest().site_root).subject
    builder = certificate("site CA", "", p256(f"{EDGE} site ca"), issuer)
    return signed(builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True), people.SITE_ROOT)


def acts_by(key):
    content, position, forged = honest().files[ACTS], 0, b""
    while position < len(content):
        length = int.from_bytes(content[position : position + 4])
        act = parse_envelope(content[position + 4 : position + 4 + length])
        envelope = whole(make_envelope(VAULT_ACT, act.payload, [key]))
        forged += len(envelope).to_bytes(4) + envelope
        position += 4 + length
    return forged


def renamed(old, new):
    return {"files": lambda files: {new if path == old else path: content for path, content in files.items()}}


FILES = {
    "a site CA nobody issued": (
        lambda: putting(SITE_CA, site_ca("th-1", p256(f"{EDGE} site ca"), honest().site_root, by=p256("x"))),
        "SIGNATURE_INVALID",
        SITE_CA,
    ),
    "a site CA without constraints": (lambda: putting(SITE_CA, unconstrained()), "WRONG_FACTORY", SITE_CA),
    "a site CA that is none": (lambda: putting(SITE_CA, b"certificate"), "MALFORMED", SITE_CA),
    "a site CA for an EdgeHSM nobody approved": (
        lambda: renamed(SITE_CA, "site-ca/edge-xx-1.der"),
        "DEPENDENCY_MISSING",
        "site-ca/edge-xx-1.der",
    ),
    "another transport CA": (
        lambda: putting("certificates/transport_ca.der", authority("OBIS transport CA", p256("x"))),
        "KEY_UNKNOWN",
        "transport_ca.der",
    ),
    "a site root somebody else signed": (
        lambda: putting("certificates/site_root.der", crossed()),
        "SIGNATURE_INVALID",
        "site_root.der",
    ),
    "a PAI another key signed": (lambda: putting(PAI, pai_by("another paa")), "SIGNATURE_INVALID", PAI),
    "a PAI for another product": (lambda: putting(PAI, pai_by("paa", 0x8001)), "WRONG_PRODUCT", PAI),
    "a PAI that is none": (lambda: putting(PAI, b"PAI"), "CERTIFICATE_LINT_FAILED", PAI),
    "a PAA under another name": (
        lambda: renamed(paa_path(), f"paa/{'0' * 64}.der"),
        "DIGEST_MISMATCH",
        f"paa/{'0' * 64}.der",
    ),
    "acts another key signed": (lambda: putting(ACTS, acts_by(p256("x"))), "KEY_UNKNOWN", f"{ACTS} act 1"),
    "acts cut in the middle": (lambda: putting(ACTS, honest().files[ACTS][:-1]), "MALFORMED", ACTS),
    "a length of nothing": (lambda: putting(ACTS, bytes(4)), "MALFORMED", ACTS),
    "a version under another name": (
        lambda: putting(version_path(), b"another version"),
        "DIGEST_MISMATCH",
        "versions/",
    ),
    "a rule under another number": (lambda: renamed(RULE_1, RULE_1.replace("0001", "0002")), "DIGEST_MISMATCH", "rules/"),
    "a grant under another product": (
        lambda: renamed(GRANT_2, f"grants/{'f' * 32}-0002.dsse"),
        "DIGEST_MISMATCH",
        f"grants/{'f' * 32}-0002.dsse",
    ),
    "an authorization under another id": (
        lambda: renamed(AUTH, f"authorizations/{'0' * 32}.dsse"),
        "DIGEST_MISMATCH",
        f"authorizations/{'0' * 32}.dsse",
    ),
    "an approval in another epoch": (
        lambda: renamed(f"approvals/{EDGE}-1.dsse", f"approvals/{EDGE}-2.dsse"),
        "DIGEST_MISMATCH",
        f"approvals/{EDGE}-2.dsse",
    ),
    "a list under another number": (
        lambda: renamed("revocations/0001.dsse", "revocations/0002.dsse"),
        "DIGEST_MISMATCH",
        "revocations/0002.dsse",
    ),
    "a log nobody approved": (
        lambda: {"files": lambda files: files | {"logs/edge-xx-1.leaves": b"", "logs/edge-xx-1.checkpoint": b""}},
        "DEPENDENCY_MISSING",
        "logs/edge-xx-1",
    ),
    "a checkpoint without leaves": (
        lambda: {"files": lambda files: {p: c for p, c in files.items() if p != f"{LOG}.leaves"}},
        "DEPENDENCY_MISSING",
        f"{LOG}.leaves",
    ),
    "no trust root": (
        lambda: {"files": lambda files: {p: c for p, c in files.items() if not p.startswith("trust/")}},
        "DEPENDENCY_MISSING",
        "trust/root-0001.dsse",
    ),
}  # fmt: skip


def crossed():
    return signed(
        certificate("OBIS site root", "OBIS site root", people.SITE_ROOT).add_extension(
            x509.BasicConstraints(ca=True, path_length=1), critical=True
        ),
        p256("x"),
    )


def paa_path():
    return next(path for path in honest().files if path.startswith("paa/"))


def version_path():
    return next(path for path in honest().files if path.startswith("versions/"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_anothers_place(name):
    edits, reason, where = FILES[name]

    refused(reason, where, World(edits()))


def test_a_manifest_that_lists_a_file_twice_or_out_of_order():
    for change in (lambda files: files.append(files[0]), lambda files: files.reverse()):
        refused("MALFORMED", "manifest.dsse", World({"manifest": changing(lambda each, do=change: do(each.files))}))


def test_a_size_that_lies():
    refused(
        "DIGEST_MISMATCH", "approvals/", World({"manifest": changing(lambda each: setattr(each.files[0], "size", 1))})
    )


def test_a_root_in_another_versions_file():
    world = World({"second_root": lambda root: root, **renamed("trust/root-0002.dsse", "trust/root-0003.dsse")})

    refused("TRUST_ROOT_STALE", "trust/root-0003.dsse", world)


def test_a_list_that_was_enforced_is_in_the_export():
    missing = {"files": lambda files: {p: c for p, c in files.items() if not p.startswith("revocations/")}}

    refused("REVOCATION_STALE", f"{LOG}.leaves leaf 5", World(missing))


def test_an_export_of_one_organisation_may_leave_out_what_is_not_theirs():
    """One EdgeHSM and its log; the acts and sequences of others are not asked for."""

    def theirs(files):
        return {
            path: content for path, content in files.items() if OTHER not in path and OTHER.encode().hex() not in path
        }

    world = World({"files": theirs, "manifest": setting(organisation_id="odm-1")})
    verdict = verify_export(world.files, world.fingerprint)

    assert (verdict.organisation_id, len(verdict.logs), verdict.total("issued")) == ("odm-1", 1, 6)
    refused("DEPENDENCY_MISSING", ACTS, World({"files": theirs}))
