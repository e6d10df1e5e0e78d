"""Lint rules C09 and N01 to N09: vendor and product ids in the subject and issuer of one certificate.

A name that C09 refuses is judged by no N rule. Sections are of the Matter Core Specification; the common name fallback
is 6.2.2.2.
"""

from collections.abc import Iterator

from obis.matter.certificate import Certificate, Name
from obis.matter.errors import MatterError
from obis.matter.findings import Kind
from obis.matter.names import AttestationIds, attestation_ids


def _said(name: Name) -> AttestationIds | None:
    """The ids of a name, or None for one that C09 refuses."""
    try:
        return attestation_ids(name)
    except MatterError:
        return None


def c09_ids(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """6.2.2.1, 6.2.2.2: each id stands once, as four of 0-9A-F."""
    for name, where in ((certificate.subject, "subject"), (certificate.issuer, "issuer")):
        try:
            attestation_ids(name)
        except MatterError as error:
            yield f"{where}: {error.what.partition(': ')[2]}"


def c09_fallback(certificate: Certificate, _kind: Kind) -> Iterator[str]:
    """6.2.2.2 is for certification authorities that cannot write the attributes of 6.2.2.1; we can."""
    subject = _said(certificate.subject)
    if subject and subject.from_common_name:
        yield "the ids stand in the common name, not in their attributes"


def n01_pai_vendor(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.4: a PAI names exactly one vendor."""
    subject = _said(certificate.subject)
    if kind is Kind.PAI and subject and subject.vendor_id is None:
        yield "the PAI's subject names no vendor"


def n02_paa_product(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.5: a PAA names no product."""
    subject = _said(certificate.subject)
    if kind is Kind.PAA and subject and subject.product_id is not None:
        yield "the PAA's subject names a product"


def n03_issuer_vendor(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.3: the issuer of a DAC names a vendor."""
    issuer = _said(certificate.issuer)
    if kind is Kind.DAC and issuer and issuer.vendor_id is None:
        yield "the DAC's issuer names no vendor"


def n04_same_vendor(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.3: subject and issuer of a DAC name the same vendor."""
    subject, issuer = _said(certificate.subject), _said(certificate.issuer)
    if kind is not Kind.DAC or not subject or not issuer or None in (subject.vendor_id, issuer.vendor_id):
        return
    if subject.vendor_id != issuer.vendor_id:
        yield "the DAC's vendor is not its issuer's"


def n05_same_product(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.3: where the issuer of a DAC names a product, the subject names the same."""
    subject, issuer = _said(certificate.subject), _said(certificate.issuer)
    if kind is not Kind.DAC or not subject or not issuer or None in (subject.product_id, issuer.product_id):
        return
    if subject.product_id != issuer.product_id:
        yield "the DAC's product is not its issuer's"


def n06_dac_vendor(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.3: a DAC names exactly one vendor."""
    subject = _said(certificate.subject)
    if kind is Kind.DAC and subject and subject.vendor_id is None:
        yield "the DAC's subject names no vendor"


def n07_scoped_vendor(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.4: where the issuer of a PAI (its PAA) names a vendor, the subject names the same."""
    subject, issuer = _said(certificate.subject), _said(certificate.issuer)
    if kind is not Kind.PAI or not subject or not issuer or None in (subject.vendor_id, issuer.vendor_id):
        return
    if subject.vendor_id != issuer.vendor_id:
        yield "the PAI's vendor is not the one its PAA is scoped to"


def n08_dac_product(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.3: a DAC names exactly one product."""
    subject = _said(certificate.subject)
    if kind is Kind.DAC and subject and subject.product_id is None:
        yield "the DAC's subject names no product"


def n09_self_issued(certificate: Certificate, kind: Kind) -> Iterator[str]:
    """6.2.2.5: issuer and subject of a PAA are the same."""
    if kind is Kind.PAA and certificate.issuer.raw != certificate.subject.raw:
        yield "the PAA's issuer is not its subject"
