"""An Authorization is a subset of one Grant, in every dimension; each dimension has its own reason.

    dimension                              reason
    the Grant it names                     DIGEST_MISMATCH
    product, Product Version               WRONG_PRODUCT, WRONG_PRODUCT_VERSION
    EdgeHSM, factory, epoch                WRONG_EDGEHSM, WRONG_FACTORY, WRONG_EPOCH
    quantity within the share              EDGE_CAP_EXCEEDED
    window within the Grant's              WINDOW_NOT_OPEN, WINDOW_CLOSED
    operations, debug permissions          OPERATION_NOT_GRANTED
    an operation's total                   GRANT_EXCEEDED
    an operation's bound a device, a day   DEVICE_LIMIT_REACHED, DAY_LIMIT_REACHED
    template equal to the Grant's          CERTIFICATE_LINT_FAILED
    serial prefix, notBefore               MALFORMED

What a sum over several Authorizations allows is counted by whoever admits them (the EdgeHSM's ledger, the verifier).
"""

from __future__ import annotations

from typing import Final

from obis.refusal import Refused
from obis.trust.grant import find_cap, find_operation, require_once, require_within
from obis.trust.trust_root import Verified
from obis.v1.authorization_pb2 import Authorization
from obis.v1.grant_pb2 import Grant, OpRule
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Operation

WHERE: Final = "authorization"


def check_authorization(grant: Verified[Grant], authorization: Verified[Authorization]) -> None:
    """Raises Refused with the reason of the first dimension that is not within the Grant."""
    auth = authorization.message
    _check_names(grant, auth)
    cap = find_cap(grant.message, auth.factory_id, auth.edgehsm_id, auth.epoch)
    if auth.quantity > cap.max_quantity:
        raise Refused(Reason.REASON_EDGE_CAP_EXCEEDED, f"{auth.quantity} of a share of {cap.max_quantity}", WHERE)
    require_within(auth.window, grant.message.window, "the window", WHERE)
    require_once(auth.operations, WHERE)
    for rule in auth.operations:
        _check_operation(rule, find_operation(grant.message, rule.operation))
    _check_certificates(grant.message, auth)


def _check_names(grant: Verified[Grant], auth: Authorization) -> None:
    if auth.grant_digest != grant.digest:
        raise Refused(Reason.REASON_DIGEST_MISMATCH, "grant_digest is not the digest of this Grant", WHERE)
    if auth.product_id != grant.message.product_id:
        raise Refused(Reason.REASON_WRONG_PRODUCT, "the Grant is for another product", WHERE)
    if auth.version_digest != grant.message.version_digest:
        raise Refused(Reason.REASON_WRONG_PRODUCT_VERSION, "the Grant is for another Product Version", WHERE)


def _check_operation(rule: OpRule, granted: OpRule) -> None:
    name = Operation.Name(rule.operation).removeprefix("OPERATION_")
    where = f"{WHERE} {name}"
    if rule.max_total > granted.max_total:
        raise Refused(Reason.REASON_GRANT_EXCEEDED, f"{rule.max_total} of {granted.max_total}", where)
    if _is_wider(rule.max_per_device, granted.max_per_device):
        raise Refused(Reason.REASON_DEVICE_LIMIT_REACHED, "a wider bound for one device", where)
    if _is_wider(rule.max_per_day, granted.max_per_day):
        raise Refused(Reason.REASON_DAY_LIMIT_REACHED, "a wider bound for one day", where)
    require_within(rule.window, granted.window, "the window", where)
    if rule.debug_permissions & ~granted.debug_permissions:
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, "debug permissions the Grant does not give", where)
    if _is_wider(rule.time_box_seconds, granted.time_box_seconds):
        raise Refused(Reason.REASON_OPERATION_NOT_GRANTED, "a longer time-box than the Grant gives", where)


def _is_wider(bound: int, granted: int) -> bool:
    """Whether `bound` allows more, where 0 means no bound of its own."""
    return granted != 0 and not 0 < bound <= granted


def _check_certificates(grant: Grant, auth: Authorization) -> None:
    if auth.template != grant.template:
        raise Refused(Reason.REASON_CERTIFICATE_LINT_FAILED, "the template is not the Grant's", WHERE)
    if not 0x01 <= auth.serial_prefix[0] <= 0x7F:  # a serial number is positive and in its shortest form
        raise Refused(Reason.REASON_MALFORMED, "the serial prefix begins outside 0x01 to 0x7f", WHERE)
    if auth.dac_not_before >= auth.template.not_after:
        raise Refused(Reason.REASON_MALFORMED, "certificates would end before they begin", WHERE)
