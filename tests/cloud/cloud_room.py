"""A cloud's store with one factory, its EdgeHSMs and a batch: real database, real witness, real keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.receiving import Receiver
from cloud.store import Store, migrate
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.engine import open_engine
from cloud.store.governance import CertificateRow, GrantRow, GrantShareRow
from cloud.store.people import OrganisationRow
from cloud.store.production import BatchRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.witness import Witness, WitnessKey, witness_url
from obis.v1.batches_pb2 import BatchState
from obis.v1.enrolment_objects_pb2 import EdgeHsmKeys, EnrolmentApproval
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.organisations_pb2 import OrganisationKind
from obis.v1.package_pb2 import VersionManifest
from obis.v1.versions_pb2 import VersionState
from tests.fakes.log import FakeLog

FACTORY, AUTH, BATCH, PRODUCT = "th-1", b"a" * 16, b"b" * 16, b"p" * 16
FIRMWARE = b"firmware " * 100_000
WITNESS = ed25519.Ed25519PrivateKey.generate()
WITNESS_KEY = WitnessKey(
    "obis/witness/0011223344556677",
    WITNESS.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    WITNESS.sign,
)


@dataclass
class CloudRoom:
    """The cloud's data folder, opened."""

    folder: Path
    store: Store
    witness: Witness
    receiver: Receiver
    now_ms: int

    def edgehsm(self, log: FakeLog) -> EdgeHsmRow:
        with self.store.reading() as session:
            return session.get_one(EdgeHsmRow, (log.edgehsm_id, log.epoch))


def open_room(folder: Path, *logs: FakeLog, now_ms: int = 1_790_000_001_500) -> CloudRoom:
    """A new cloud that has approved these logs' EdgeHSMs."""
    engine = open_engine(f"sqlite:///{folder / 'cloud.db'}")
    migrate.upgrade(engine)
    store = Store(engine)
    with store.writing() as session:
        for row in rows():
            session.add(row)
            session.flush()
        for log in logs:
            session.add(edgehsm_row(log))
    return reopen(folder, store, now_ms, may_create=True)


def reopen(folder: Path, store: Store, now_ms: int, *, may_create: bool = False) -> CloudRoom:
    witness = Witness(witness_url(folder), WITNESS_KEY, may_create=may_create)
    return CloudRoom(folder, store, witness, Receiver(store, witness, lambda: now_ms), now_ms)


def edgehsm_row(log: FakeLog, factory_id: str = FACTORY) -> EdgeHsmRow:
    keys = EdgeHsmKeys(log_spki_der=log.spki)
    approval = EnrolmentApproval(factory_id=factory_id, edgehsm_id=log.edgehsm_id, epoch=log.epoch, keys=keys)
    return EdgeHsmRow(
        edgehsm_id=log.edgehsm_id,
        epoch=log.epoch,
        factory_id=factory_id,
        state=EdgeHsmState.EDGE_HSM_STATE_ENROLLED,
        request=b"",
        request_digest=b"",
        keys=keys.SerializeToString(),
        key_fingerprint=b"",
        assurance=1,
        ticket_id=b"t" * 16,
        requested_at=1,
        approval=Envelope(payload=approval.SerializeToString()).SerializeToString(),
    )


def rows():
    """An OEM, an ODM with its factory, and a product with one batch of ten."""
    from hashlib import sha256

    manifest = VersionManifest(product_id=PRODUCT, label="1.0", firmware_digest=sha256(FIRMWARE).digest())
    content = manifest.SerializeToString()
    yield OrganisationRow(organisation_id="oem", name="OEM", kind=OrganisationKind.ORGANISATION_KIND_OEM, created_at=1)
    yield OrganisationRow(organisation_id="odm", name="ODM", kind=OrganisationKind.ORGANISATION_KIND_ODM, created_at=1)
    yield FactoryRow(factory_id=FACTORY, organisation_id="odm", created_at=1)
    yield CertificateRow(digest=b"c" * 32, name="paa", der=b"paa")
    counts = {"lifetime_quantity": 100, "granted_quantity": 50, "batched_quantity": 10}
    yield ProductRow(
        product_id=PRODUCT,
        name="Bulb",
        vendor_id=0xFFF1,
        product_code=0x8000,
        paa_cert_digest=b"c" * 32,
        created_at=1,
        **counts,
    )
    yield VersionRow(
        version_id=b"v" * 16,
        product_id=PRODUCT,
        organisation_id="odm",
        state=VersionState.VERSION_STATE_APPROVED,
        label="1.0",
        manifest=content,
        version_digest=sha256(content).digest(),
        created_by="nok",
        created_at=1,
    )
    yield GrantRow(
        grant_digest=b"g" * 32,
        grant_id=b"g" * 16,
        product_id=PRODUCT,
        version_id=b"v" * 16,
        sequence=1,
        total_quantity=50,
        batched_quantity=10,
        envelope=b"",
        signed_at=1,
    )
    yield GrantShareRow(
        grant_digest=b"g" * 32, edgehsm_id="edge-1", epoch=1, factory_id=FACTORY, max_quantity=50, batched_quantity=10
    )
    yield batch_row()


def batch_row(**changed) -> BatchRow:
    said = {
        "batch_id": BATCH,
        "request_id": b"r" * 16,
        "request_digest": b"",
        "organisation_id": "odm",
        "created_by": "nok",
        "created_at": 1,
        "product_id": PRODUCT,
        "version_id": b"v" * 16,
        "grant_digest": b"g" * 32,
        "factory_id": FACTORY,
        "edgehsm_id": "edge-1",
        "epoch": 1,
        "quantity": 10,
        "starts_at": 1,
        "ends_at": 2_000_000_000,
        "state": BatchState.BATCH_STATE_AUTHORIZED,
        "auth_id": AUTH,
        "sequence": 1,
        "serial_prefix": b"@\0\0\0",
        "authorization": b"",
        "delivery_number": 1,
    }
    return BatchRow(**(said | changed))
