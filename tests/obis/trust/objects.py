"""A ProductRule, a Grant and an Authorization that fit one another, as values a test may bend."""

from obis.v1.authorization_pb2 import Authorization
from obis.v1.grant_pb2 import DacTemplate, EdgeCap, Grant, Lease, LeaseKind, OpRule
from obis.v1.rule_pb2 import KeyPurpose, ProductKey, ProductRule
from obis.v1.scope_pb2 import Assurance, EvidenceLevel, Operation, Window
from tests.obis.trust.people import BEGIN

PRODUCT = bytes(range(16))
VENDOR_ID, PRODUCT_CODE = 0xFFF1, 0x8000
NO_EXPIRY = 253402300799
DAY = 86400
MAKING = Window(starts_at=BEGIN, ends_at=BEGIN + 30 * DAY)
REWORK = Window(starts_at=BEGIN, ends_at=BEGIN + 300 * DAY)


def product_rule() -> ProductRule:
    return ProductRule(
        product_id=PRODUCT,
        name="Lamp",
        vendor_id=VENDOR_ID,
        product_code=PRODUCT_CODE,
        lifetime_quantity=100,
        keys=[ProductKey(purpose=KeyPurpose.KEY_PURPOSE_PAI, name="pai")],
        sequence=1,
        paa_cert_digest=bytes(32),
        proposer="alice",
        proposed_at=BEGIN,
    )


def operations(total: int) -> list[OpRule]:
    return [
        OpRule(operation=Operation.OPERATION_ISSUE_DAC, max_total=total, window=MAKING),
        OpRule(operation=Operation.OPERATION_REPLACE_DAC, max_total=2, max_per_device=1, window=MAKING),
        OpRule(operation=Operation.OPERATION_PROGRAM_FIRMWARE, max_total=3 * total, window=MAKING),
        OpRule(
            operation=Operation.OPERATION_REOPEN_DEBUG,
            max_total=4,
            max_per_device=2,
            max_per_day=3,
            window=REWORK,
            debug_permissions=0b0011,
            time_box_seconds=3600,
        ),
        OpRule(operation=Operation.OPERATION_CLOSE_DEBUG, max_total=8, window=REWORK),
        OpRule(operation=Operation.OPERATION_SCRAP, max_total=5, window=REWORK),
    ]


def grant(rule_digest: bytes, total: int = 50) -> Grant:
    return Grant(
        grant_id=b"g" * 16,
        product_id=PRODUCT,
        rule_digest=rule_digest,
        sequence=1,
        version_id=b"v" * 16,
        version_digest=b"d" * 32,
        total_quantity=total,
        edge_caps=[
            EdgeCap(factory_id="th-1", edgehsm_id="edge-th", epoch=1, max_quantity=20),
            EdgeCap(factory_id="vn-1", edgehsm_id="edge-vn", epoch=1, max_quantity=20),
        ],
        window=MAKING,
        operations=operations(total),
        lease=Lease(kind=LeaseKind.LEASE_KIND_NONE),
        required_assurance=Assurance.ASSURANCE_SOFTWARE,
        minimum_evidence=EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        template=DacTemplate(
            vendor_id=VENDOR_ID,
            product_code=PRODUCT_CODE,
            common_name_pattern="Lamp {serial}",
            not_after=NO_EXPIRY,
        ),
        cd_digest=b"c" * 32,
        firmware_digest=b"f" * 32,
        soc="generic-wifi",
        proposer="alice",
        proposed_at=BEGIN,
    )


def authorization(grant_digest: bytes, given: Grant, edgehsm: str = "edge-th", factory: str = "th-1") -> Authorization:
    return Authorization(
        auth_id=edgehsm.encode().ljust(16, b"a"),
        batch_id=b"b" * 16,
        grant_digest=grant_digest,
        product_id=given.product_id,
        version_digest=given.version_digest,
        factory_id=factory,
        edgehsm_id=edgehsm,
        epoch=1,
        sequence=1,
        quantity=10,
        window=Window(starts_at=BEGIN, ends_at=BEGIN + 10 * DAY),
        operations=given.operations,
        serial_prefix=b"\x21" + edgehsm.encode()[-3:],
        template=given.template,
        pai_cert_digest=b"p" * 32,
        dac_not_before=BEGIN,
        package_digest=b"k" * 32,
        issued_at=BEGIN,
        organisation_id="odm-1",
    )
