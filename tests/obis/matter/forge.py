"""Certificates that the builders refuse to make: each part can be replaced, and the signature is right all the same."""

from obis.matter import ids, profile
from obis.matter.findings import Kind
from obis.matter.profile import Subject, oid, sequence, tlv
from tests.obis.matter.pki import BEGIN, PRODUCT, VENDOR, Key, pki

PAA_NAME = Subject("OBIS Test PAA", VENDOR).encode()
PAI_NAME = Subject("OBIS Test PAI", VENDOR, PRODUCT).encode()
DAC_NAME = Subject("OBIS Test DAC", VENDOR, PRODUCT).encode()
NAMES = {Kind.PAA: (PAA_NAME, PAA_NAME), Kind.PAI: (PAA_NAME, PAI_NAME), Kind.DAC: (PAI_NAME, DAC_NAME)}
ALGORITHM = profile.ECDSA_WITH_SHA256
CA_USAGE, DAC_USAGE = profile.KEY_USAGE_CA, profile.KEY_USAGE_DAC
FIELDS = ("version", "serial", "inner", "issuer", "validity", "subject", "spki", "unique")
EXTENSIONS = ("basic", "usage", "ski", "aki", "extra")
PATH_LENGTHS = {Kind.PAA: 1, Kind.PAI: 0}


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(oid(dotted), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def basic(value: bytes, *, critical: bool = True) -> bytes:
    return extension(ids.OID_BASIC_CONSTRAINTS, value, critical=critical)


def usage(value: bytes, *, critical: bool = True) -> bytes:
    return extension(ids.OID_KEY_USAGE, value, critical=critical)


def subject_key_id(key_id: bytes, *, critical: bool = False) -> bytes:
    return extension(ids.OID_SUBJECT_KEY_ID, tlv(0x04, key_id), critical=critical)


def authority_key_id(key_id: bytes, *, critical: bool = False) -> bytes:
    return extension(ids.OID_AUTHORITY_KEY_ID, sequence(tlv(0x80, key_id)), critical=critical)


def keys(kind: Kind) -> tuple[Key, Key]:
    """The certificate's own key and its issuer's."""
    ours = {Kind.PAA: pki().paa_key, Kind.PAI: pki().pai_key, Kind.DAC: pki().dac_key}
    issuers = {Kind.PAA: pki().paa_key, Kind.PAI: pki().paa_key, Kind.DAC: pki().pai_key}
    return ours[kind], issuers[kind]


def forge(kind: Kind, **changed: bytes) -> bytes:
    """A right certificate of this kind, but for the parts in `changed`, each the DER that stands in the original's place.

    Parts: version serial inner issuer validity subject spki unique basic usage ski aki extra outer signature trailing.
    """
    key, issuer_key = keys(kind)
    issuer, subject = NAMES[kind]
    authority = kind is not Kind.DAC
    parts = {
        "version": profile.VERSION_3,
        "serial": b"\x02\x09" + b"\x01" * 9,
        "inner": ALGORITHM,
        "issuer": issuer,
        "validity": profile.validity(BEGIN, profile.NO_EXPIRY),
        "subject": subject,
        "spki": profile.spki(key.point),
        "unique": b"",
        "basic": basic(profile.ca_constraints(PATH_LENGTHS[kind]) if authority else sequence()),
        "usage": usage(CA_USAGE if authority else DAC_USAGE),
        "ski": subject_key_id(profile.key_id(key.point)),
        "aki": authority_key_id(profile.key_id(issuer_key.point)),
        "extra": b"",
        "outer": ALGORITHM,
        "trailing": b"",
    } | changed
    assert len(parts) == 15 + ("signature" in changed), "no such part"
    fields = [parts[name] for name in FIELDS]
    extensions = [parts[name] for name in EXTENSIONS]
    tbs = sequence(*fields, tlv(0xA3, sequence(*extensions)))
    signature = parts.get("signature", issuer_key.sign(tbs))
    return sequence(tbs, parts["outer"], tlv(0x03, b"\x00", signature)) + parts["trailing"]
