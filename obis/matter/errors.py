"""The one refusal of this floor: a reason word and what was wrong.

The words are members of the project's Reason enum, spelt here as plain strings so that `obis/matter` imports no
generated code. A message never quotes input octets, so it may be logged and shown.
"""

from typing import Final


class MatterError(ValueError):
    """Bytes or values that Matter, or our profile of it, does not allow.

    `reason` is one of the words below; `what` says which rule was broken, in words for a person.
    """

    MALFORMED: Final = "MALFORMED"
    CSR_MALFORMED: Final = "CSR_MALFORMED"
    CSR_SIGNATURE_INVALID: Final = "CSR_SIGNATURE_INVALID"
    CSR_CURVE_UNSUPPORTED: Final = "CSR_CURVE_UNSUPPORTED"
    CERTIFICATE_LINT_FAILED: Final = "CERTIFICATE_LINT_FAILED"
    CD_INVALID: Final = "CD_INVALID"
    FACTORY_DATA_INVALID: Final = "FACTORY_DATA_INVALID"
    PAYLOAD_INVALID: Final = "PAYLOAD_INVALID"

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(f"{reason}: {what}")
        self.reason = reason
        self.what = what
