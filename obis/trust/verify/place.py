"""Says where in an export something is wrong: every refusal of the verifier names a file, and a leaf where it can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from obis.matter.errors import MatterError
from obis.matter.findings import Finding, errors_of
from obis.refusal import Refused, reason_of
from obis.v1.reason_pb2 import Reason


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put `place` before whatever a refusal inside says of its own place; Matter's refusals become ours."""
    try:
        yield
    except Refused as refused:
        where = f"{place}: {refused.where}" if refused.where else place
        raise Refused(refused.reason, refused.what, where, refused.next_step) from refused
    except MatterError as error:
        raise Refused(reason_of(error.reason), error.what, place) from error


def require_clean(findings: list[Finding]) -> None:
    """Raises Refused CERTIFICATE_LINT_FAILED with the rules that a certificate breaks."""
    if errors := errors_of(findings):
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "; ".join(map(str, errors)))
