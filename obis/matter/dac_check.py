"""Proves a DAC template before it is used, by two readers that did not write it.

For three sets of sample values: `cryptography` reads from the assembled certificate exactly what was asked for, and the
lint, which also insists on DER, finds no error in it as a child of the PAI. DER is a unique encoding, so the octets are
those that any right builder would make (tests compare them with CertificateBuilder's). The samples come from a hash of
the PAI: a template that passes here passes everywhere.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography import x509

from obis.matter import ids, p256, profile
from obis.matter.base_point import multiple_of_base
from obis.matter.errors import MatterError
from obis.matter.findings import Finding, errors_of
from obis.matter.lint import lint_pai
from obis.matter.lint_chain import lint_issued

if TYPE_CHECKING:
    from obis.matter.dac import DacTemplate

SAMPLES: Final = 3

# Of the greatest length a signature can have, and nobody's: samples are thrown away.
DUMMY_SIGNATURE: Final = bytes.fromhex("3046" + 2 * ("022100" + "80" + "11" * 31))


def check_template(template: DacTemplate) -> None:
    """Raises MatterError CERTIFICATE_LINT_FAILED where a reader disagrees, or the PAI is not one."""
    _refuse(lint_pai(template.pai_der))
    for count in range(1, SAMPLES + 1):
        point, serial = _sample_values(template, count)
        certificate_der = profile.splice(template.tbs(point, serial), DUMMY_SIGNATURE)
        _refuse(lint_issued(template.pai_der, certificate_der))
        _require_read_back(template, certificate_der, point, serial)


def sample_dac(template: DacTemplate) -> bytes:
    """A DAC of the template for nobody's key, with a dummy signature: what `lint_fast.DacLint` learns from."""
    return profile.splice(template.tbs(*_sample_values(template, 1)), DUMMY_SIGNATURE)


def _sample_values(template: DacTemplate, count: int) -> tuple[bytes, bytes]:
    """A point and a serial number."""
    digest = sha256(b"obis/dac-sample/v1\x00%c" % count + template.pai_der).digest()
    return multiple_of_base(int.from_bytes(digest) % p256.N), template.serial_prefix + digest[:8]


def _refuse(findings: list[Finding]) -> None:
    if errors := errors_of(findings):
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "; ".join(map(str, errors)))


def _require_read_back(template: DacTemplate, certificate_der: bytes, point: bytes, serial: bytes) -> None:
    """What `cryptography` reads is what was asked for; C02 is its rule because our octets would be at fault."""
    read = x509.load_der_x509_certificate(certificate_der)
    pai = x509.load_der_x509_certificate(template.pai_der)
    subject = {attribute.oid.dotted_string: attribute.value for attribute in read.subject}
    asked = {
        ids.OID_COMMON_NAME: template.common_name(serial),
        ids.OID_VENDOR_ID: template.vendor_id.hex4,
        ids.OID_PRODUCT_ID: template.product_id.hex4,
    }
    same = (
        read.serial_number == int.from_bytes(serial)
        and read.issuer.public_bytes() == pai.subject.public_bytes()
        and (read.not_valid_before_utc, read.not_valid_after_utc) == (template.not_before, template.not_after)
        and subject == asked
        and profile.spki(point) in read.tbs_certificate_bytes
        and _extensions(read) == _asked_extensions(pai, point)
    )
    if not same:
        raise MatterError(MatterError.CERTIFICATE_LINT_FAILED, "C02: the template does not say what was asked")


def _extensions(certificate: x509.Certificate) -> list[tuple[x509.ExtensionType, bool]]:
    return [(extension.value, extension.critical) for extension in certificate.extensions]


def _asked_extensions(pai: x509.Certificate, point: bytes) -> list[tuple[x509.ExtensionType, bool]]:
    """Core 6.2.2.3."""
    authority = pai.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_DIGITAL_SIGNATURE, True),
        (x509.SubjectKeyIdentifier(profile.key_id(point)), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), False),
    ]


_DIGITAL_SIGNATURE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
