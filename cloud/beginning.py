"""How a cloud begins: keys, a database, then the trust root people signed; and the vault's transport certificate.

1. `init` makes keys and the transport CA's certificate, migrates an empty database, and tells what is public.
2. `init-root` takes TrustRoot version 1 only if it names exactly this cloud's keys, each in its role; later versions
   follow by the same verb. The OEM and its people of the root are known from then on.
3. `certify-vault` names the vault; nothing else is ever certified by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlmodel import Session, select

from cloud import certificates, deliveries, organisations
from cloud.config import CloudConfig
from cloud.keystore import ROLES, Keystore, create_keys, load_keys
from cloud.roots import store_root
from cloud.store import migrate, open_store
from cloud.store.engine import open_engine
from cloud.store.sites import EdgeHsmRow
from cloud.transport_ca import TransportCa, make_ca, read_request
from obis.mesh.identity import Identity, Role
from obis.refusal import Refused
from obis.trust.trust_root import TrustRootView
from obis.v1.delivery_pb2 import Delivery
from obis.v1.envelope_pb2 import Envelope
from obis.v1.factories_pb2 import EdgeHsmState
from obis.v1.reason_pb2 import Reason
from obis.v1.trust_root_pb2 import RootRole


def init(config: CloudConfig, secret: bytes, *, now: int) -> dict[str, object]:
    """Make everything; returns what is public, which also stands in public.json. Raises KeysUnusable."""
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = create_keys(config.keys, secret)
    ca_der = make_ca(keys.transport_ca, datetime.fromtimestamp(now, UTC))
    ca_path(config).write_bytes(ca_der)
    migrate_database(config)
    ca_pem = x509.load_der_x509_certificate(ca_der).public_bytes(Encoding.PEM).decode()
    public = {**keys.public(), "transport_ca_cert_der": ca_der.hex(), "transport_ca_cert_pem": ca_pem}
    config.public.write_text(json.dumps(public, indent=1) + "\n")
    return public


def migrate_database(config: CloudConfig) -> None:
    """Bring the database to this program's revision."""
    engine = open_engine(config.database)
    migrate.upgrade(engine)
    engine.dispose()


def init_root(config: CloudConfig, secret: bytes, envelope_bytes: bytes, *, now: int) -> TrustRootView:
    """Keep the next TrustRoot version and send it to every EdgeHSM. Raises Refused."""
    keys = load_keys(config.keys, secret)
    store = open_store(config.database)
    try:
        with store.writing() as session:
            view = store_root(session, envelope_bytes, now=now)
            _require_own_keys(view, keys)
            organisations.begin_oem(session, view, config.oem_id, config.oem_name, now=now)
            certificates.keep(session, certificates.TRANSPORT_CA, ca_path(config).read_bytes())
            if view.version > 1:
                _send_root(session, Envelope.FromString(envelope_bytes), now)
            return view
    finally:
        store.close()


def certify_vault(config: CloudConfig, secret: bytes, csr_der: bytes, *, now: int) -> bytes:
    """The vault's certificate chain as PEM, leaf first. Raises Refused."""
    ca = open_ca(config, load_keys(config.keys, secret))
    key = read_request(csr_der)
    store = open_store(config.database)
    try:
        with store.writing() as session:
            leaf = ca.issue(session, Identity(Role.VAULT, "main"), key, proof="certify-vault", now=now)
    finally:
        store.close()
    chain = (x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in (leaf, ca.cert_der))
    return b"".join(chain)


def open_ca(config: CloudConfig, keys: Keystore) -> TransportCa:
    """The CA as `init` made it."""
    return TransportCa(keys.transport_ca, ca_path(config).read_bytes())


def ca_path(config: CloudConfig) -> Path:
    """The transport CA's certificate."""
    return config.data / "transport-ca.der"


def _require_own_keys(view: TrustRootView, keys: Keystore) -> None:
    """Rule 2: what this cloud will sign must be what people said it may."""
    own = (keys.online.key_id, keys.revocation.key_id, keys.beacon.key_id, keys.witness.key_id)
    for role, key_id in zip(ROLES, own, strict=True):
        if key_id not in {key.key_id for key in view.keys_of(RootRole.Value(f"ROOT_ROLE_{role}"))}:
            raise Refused(
                Reason.REASON_TRUST_ROOT_INVALID, f"it does not give {role} to this cloud's key", "trust root"
            )
    if view.root.transport_ca_spki_der != keys.transport_ca.spki_der:
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, "it names another transport CA", "trust root")


def _send_root(session: Session, envelope: Envelope, now: int) -> None:
    for row in session.exec(select(EdgeHsmRow).where(EdgeHsmRow.state == EdgeHsmState.EDGE_HSM_STATE_ENROLLED)):
        deliveries.enqueue(session, row.edgehsm_id, row.epoch, Delivery(trust_root=envelope), now=now)
