"""Reads a finished certificate back and says which rules of the Matter profile it breaks.

Independent of the builders: it shares no encoder with them and reads DER with its own reader. Each rule has an id, kept
in docs/matter.md: C rules hold for one certificate of any kind (`lint_fields`, `lint_extensions`), N rules for the
names in it (`lint_names`); what needs its neighbours, the X rules, is in `lint_chain`. C02, strict DER, is the reader
itself (`certificate`). A finding says what is wrong and quotes no name or key.
"""

from typing import Final

from obis.matter import lint_extensions, lint_fields, lint_names
from obis.matter.certificate import Certificate, read_certificate
from obis.matter.errors import MatterError
from obis.matter.findings import Check, Finding, Kind, Severity, finding_of

RULES: Final[tuple[tuple[str, Check], ...]] = (
    ("C01", lint_fields.c01_size),
    ("C03", lint_fields.c03_version),
    ("C04", lint_fields.c04_serial),
    ("C05", lint_fields.c05_algorithm),
    ("C06", lint_fields.c06_signature),
    ("C07", lint_fields.c07_validity),
    ("C09", lint_names.c09_ids),
    ("C10", lint_fields.c10_key),
    ("C11", lint_extensions.c11_duplicates),
    ("C12", lint_extensions.c12_basic_constraints),
    ("C13", lint_extensions.c13_unknown),
    ("C14", lint_extensions.c14_key_usage),
    ("C15", lint_extensions.c15_subject_key_id),
    ("C16", lint_extensions.c16_authority_key_id),
    ("N01", lint_names.n01_pai_vendor),
    ("N02", lint_names.n02_paa_product),
    ("N03", lint_names.n03_issuer_vendor),
    ("N04", lint_names.n04_same_vendor),
    ("N05", lint_names.n05_same_product),
    ("N06", lint_names.n06_dac_vendor),
    ("N07", lint_names.n07_scoped_vendor),
    ("N08", lint_names.n08_dac_product),
    ("N09", lint_names.n09_self_issued),
)
WARNINGS: Final[tuple[tuple[str, Check], ...]] = (
    ("C07", lint_fields.c07_expiry),
    ("C09", lint_names.c09_fallback),
    ("C13", lint_extensions.c13_extra),
    ("C15", lint_extensions.c15_method),
)


def lint_paa(certificate_der: bytes) -> list[Finding]:
    """What is wrong with a root (Core 6.2.2.5); empty for a perfect one. Never raises."""
    return lint_certificate(certificate_der, Kind.PAA)


def lint_pai(certificate_der: bytes) -> list[Finding]:
    """What is wrong with an intermediate (Core 6.2.2.4); empty for a perfect one. Never raises."""
    return lint_certificate(certificate_der, Kind.PAI)


def lint_dac(certificate_der: bytes) -> list[Finding]:
    """What is wrong with a device certificate (Core 6.2.2.3); empty for a perfect one. Never raises."""
    return lint_certificate(certificate_der, Kind.DAC)


def lint_certificate(certificate_der: bytes, kind: Kind) -> list[Finding]:
    """Every rule of one certificate, errors before warnings; a certificate that cannot be read has the finding C02."""
    try:
        certificate = read_certificate(certificate_der)
    except MatterError as error:
        return [finding_of(error)]
    return [*_apply(RULES, Severity.ERROR, certificate, kind), *_apply(WARNINGS, Severity.WARNING, certificate, kind)]


def _apply(
    rules: tuple[tuple[str, Check], ...], severity: Severity, certificate: Certificate, kind: Kind
) -> list[Finding]:
    return [Finding(rule, severity, what) for rule, check in rules for what in check(certificate, kind)]
