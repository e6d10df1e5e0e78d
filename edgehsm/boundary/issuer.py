"""One Authorization's DACs: template, lint and PAI key, prepared once and proved before the first device.

The order of one DAC: to-be-signed bytes from the approved template, lint of the whole certificate with a signature that
is nobody's, and only then the PAI key signs exactly those bytes. So the key never signs what the lint did not see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edgehsm.boundary.element import Element, KeyHandle
from obis.matter import profile
from obis.matter.csr import PublicKey
from obis.matter.dac import DacTemplate
from obis.matter.dac_check import DUMMY_SIGNATURE, sample_dac
from obis.matter.errors import MatterError
from obis.matter.ids import ProductId, VendorId
from obis.matter.lint_fast import DacLint
from obis.refusal import Refused, reason_of
from obis.v1.authorization_pb2 import Authorization
from obis.v1.reason_pb2 import Reason


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes DACs of one Authorization."""

    template: DacTemplate
    lint: DacLint
    pai_handle: KeyHandle

    def issue(self, element: Element, key: PublicKey, randomness: bytes) -> bytes:
        """The DER DAC for a key whose possession was proved; `randomness` is 8 bytes of the serial. Raises Refused."""
        tbs = self.template.tbs(key.point, self.template.serial_prefix + randomness)
        if findings := self.lint.lint(profile.splice(tbs, DUMMY_SIGNATURE), key.point):
            raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, findings)), "issue_dac")
        return profile.splice(tbs, element.sign(self.pai_handle, tbs))


def prepare(authorization: Authorization, pai_der: bytes, pai_handle: KeyHandle) -> Issuer:
    """An issuer, proved by sample values. Raises Refused CERTIFICATE_LINT_FAILED for what Matter forbids."""
    approved = authorization.template
    try:
        template = DacTemplate(
            vendor_id=VendorId(approved.vendor_id),
            product_id=ProductId(approved.product_code),
            common_name_pattern=approved.common_name_pattern,
            not_before=datetime.fromtimestamp(authorization.dac_not_before, UTC),
            not_after=datetime.fromtimestamp(approved.not_after, UTC),
            serial_prefix=authorization.serial_prefix,
            pai_der=pai_der,
        )
        return Issuer(template, DacLint(pai_der, sample_dac(template)), pai_handle)
    except MatterError as error:
        raise refused_by(error, "authorization") from None
    except (ValueError, OverflowError, OSError):
        raise Refused(Reason.REASON_MALFORMED, "a time of the template is no date", "authorization") from None


def refused_by(error: MatterError, where: str) -> Refused:
    """Matter's refusal as the mesh's; the words are the same."""
    return Refused(reason_of(error.reason), error.what, where)
