"""How a vault begins: keys, then the trust root people signed, then a transport certificate from the cloud.

Each verb may be run once; `serve` refuses until all three have been.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloud.vault.config import VaultConfig
from cloud.vault.keys import VaultKeys, create_keys, load_keys
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.transport import TransportKey, keep_chain, read_chain
from obis.refusal import Refused
from obis.trust import payload
from obis.trust.envelope import digest, parse_envelope
from obis.trust.trust_root import TrustRootView, walk
from obis.v1.reason_pb2 import Reason

IDENTITY = Identity(Role.VAULT, "main")


def init(config: VaultConfig, secret: bytes, *, now: int) -> dict[str, object]:
    """Make every key; returns what is public, which also stands in public.json. Raises KeysUnusable."""
    keys = create_keys(config.keys, secret, config.vendor_ids, config.name, now=now)
    transport = TransportKey.generate()
    transport.seal(transport_key(config), secret)
    config.request.write_bytes(transport.request(IDENTITY))
    public: dict[str, object] = {
        "site_root_spki_der": keys.site_root.spki_der.hex(),
        "site_root_cert_der": keys.site_root.cert_der.hex(),
        "paas": [
            {"vendor_id": vendor_id, "cert_der": paa.cert_der.hex(), "digest": sha256(paa.cert_der).hexdigest()}
            for vendor_id, paa in keys.paas.items()
        ],
        "csr_der": config.request.read_bytes().hex(),
    }
    config.public.write_text(json.dumps(public, indent=1) + "\n")
    return public


def init_root(config: VaultConfig, secret: bytes, envelope_bytes: bytes) -> bytes:
    """Pin TrustRoot version 1; returns the fingerprint. The same again changes nothing. Raises Refused."""
    keys = load_keys(config.keys, secret, config.vendor_ids)
    envelope = parse_envelope(envelope_bytes)
    view = walk([envelope], digest(envelope.payload))
    if view.root.site_root_spki_der != keys.site_root.spki_der:
        raise Refused(Reason.REASON_TRUST_ROOT_INVALID, "it names another site root than this vault's", "trust root")
    if config.root.exists() and config.root.read_bytes() != envelope_bytes:
        raise Refused(Reason.REASON_STATE_CONFLICT, "another trust root is pinned here", "trust root")
    config.root.write_bytes(envelope_bytes)
    return view.fingerprint


def install_cert(config: VaultConfig, secret: bytes, chain_path: Path) -> None:
    """Take the transport certificate the cloud made; its CA must be the trust root's. Raises Refused."""
    view = pinned(config)
    chain = x509.load_pem_x509_certificates(chain_path.read_bytes())
    ca_spki = chain[-1].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if len(chain) != 2 or ca_spki != view.root.transport_ca_spki_der:
        raise Refused(Reason.REASON_KEY_UNKNOWN, "the chain is not by the trust root's transport CA", "chain")
    chain[0].verify_directly_issued_by(chain[1])
    der = [each.public_bytes(Encoding.DER) for each in chain]
    TransportKey.unseal(transport_key(config), secret).certified(der)
    keep_chain(transport_chain(config), der)


def pinned(config: VaultConfig) -> TrustRootView:
    """TrustRoot version 1 as it was pinned. Raises Refused DEPENDENCY_MISSING."""
    if not config.root.exists():
        raise Refused(
            Reason.REASON_DEPENDENCY_MISSING, "no trust root is pinned", "trust root", "run `cloud.vault init-root`"
        )
    envelope = parse_envelope(config.root.read_bytes())
    return walk([envelope], digest(envelope.payload))


def transport_authority(config: VaultConfig) -> x509.Certificate:
    """The CA of the installed chain, whose key the trust root names. Raises Refused DEPENDENCY_MISSING."""
    if not transport_chain(config).exists():
        raise Refused(
            Reason.REASON_DEPENDENCY_MISSING,
            f"the vault has no certificate for {CLOUD_HOST}",
            "chain",
            "run `cloud certify-vault`, then `cloud.vault install-cert`",
        )
    return x509.load_der_x509_certificate(read_chain(transport_chain(config))[-1])


def transport_key(config: VaultConfig) -> Path:
    """The sealed transport key."""
    return config.data / "transport.pem"


def transport_chain(config: VaultConfig) -> Path:
    """Its certificates, leaf first."""
    return config.data / "transport-chain.pem"


def open_keys(config: VaultConfig, secret: bytes) -> VaultKeys:
    """Raises KeysUnusable; Refused where the pinned root names another site root."""
    keys = load_keys(config.keys, secret, config.vendor_ids)
    if pinned(config).root.site_root_spki_der != keys.site_root.spki_der:
        raise Refused(
            Reason.REASON_TRUST_ROOT_INVALID, "the pinned root names another site root", payload.TRUST_ROOT.text
        )
    return keys
