"""The signed export: every file of the layout (docs/architecture.md, "Export layout"), the manifest last.

1. All of it is one snapshot. A log goes as far as the witness has cosigned, and its checkpoint is that note.
2. The OEM's export is everything; an ODM's is the EdgeHSMs of its own factories, their logs whole, and all that those
   logs stand on. A product named narrows it to the EdgeHSMs that have a share of it.
3. The vault's acts are asked for after the snapshot is taken, and cut after the last one whose certificate is in it.
4. Files go out as they are made; none is held in memory, nor written to disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

from sqlmodel import Session, SQLModel, col, select

from cloud import certificates
from cloud.roots import Roots
from cloud.store.catalogue import ProductRow, VersionRow
from cloud.store.governance import GrantRow, GrantShareRow
from cloud.store.leaves import read_leaves
from cloud.store.production import BatchRow, PaiRow
from cloud.store.sites import EdgeHsmRow, FactoryRow
from cloud.viewer import Viewer
from cloud.witness import Witness
from obis.trust.envelope import Signer, make_envelope
from obis.trust.payload import EXPORT_MANIFEST
from obis.v1.envelope_pb2 import Envelope
from obis.v1.export_pb2 import ExportFile, ExportManifest, VaultAct
from obis.v1.rule_pb2 import ProductRule
from obis.v1.trace_pb2 import ExportResponse

CHUNK_BYTES: Final = 256 * 1024
_LEAVES_AT_ONCE: Final = 1000
_LENGTH_BYTES: Final = 4
_R = TypeVar("_R", bound=SQLModel)

File = tuple[str, Iterable[bytes]]


@dataclass(frozen=True)
class Scope:
    """What an export covers; `organisation_id` is empty for everything."""

    organisation_id: str
    edgehsms: Sequence[EdgeHsmRow]
    products: Sequence[ProductRow]


@dataclass
class _Manifest:
    """What went out so far."""

    files: list[ExportFile] = field(default_factory=list)

    def sent(self, path: str, chunks: Iterable[bytes]) -> Iterator[ExportResponse]:
        """The file in parts of at most 256 KiB, the last one marked."""
        hashed, size, held = sha256(), 0, b""
        for chunk in _rechunked(chunks):
            hashed.update(chunk)
            size += len(chunk)
            if held:
                yield ExportResponse(path=path, chunk=held)
            held = chunk
        yield ExportResponse(path=path, chunk=held, last=True)
        self.files.append(ExportFile(path=path, digest=hashed.digest(), size=size))


def scope_of(session: Session, viewer: Viewer, product_id: bytes) -> Scope:
    """What the caller may see (rule 2)."""
    query = select(EdgeHsmRow).where(EdgeHsmRow.approval != b"")
    if not viewer.is_oem:
        query = query.join(FactoryRow).where(FactoryRow.organisation_id == viewer.organisation_id)
    edgehsms = list(session.exec(query.order_by(col(EdgeHsmRow.edgehsm_id), col(EdgeHsmRow.epoch))))
    whole = viewer.is_oem and not product_id
    if product_id:
        edgehsms = [each for each in edgehsms if product_id in _products_at(session, [each])]
    wanted = None if whole else _products_at(session, edgehsms)
    products = session.exec(select(ProductRow).where(ProductRow.rule != b"").order_by(col(ProductRow.product_id)))
    chosen = [each for each in products if wanted is None or each.product_id in wanted]
    return Scope("" if whole else viewer.organisation_id, edgehsms, chosen)


def export(
    session: Session, scope: Scope, witness: Witness, acts: Sequence[Envelope], online: Signer, now: int
) -> Iterator[ExportResponse]:
    """The whole stream; `acts` are the vault's, all of them, in order."""
    manifest = _Manifest()
    for path, chunks in _files(session, scope, witness, acts):
        yield from manifest.sent(path, chunks)
    signed = ExportManifest(
        exported_at=now,
        fingerprint=sha256(Roots.envelopes(session)[0].payload).digest(),
        files=sorted(manifest.files, key=lambda each: each.path),
        organisation_id=scope.organisation_id,
    )
    envelope = make_envelope(EXPORT_MANIFEST, signed.SerializeToString(deterministic=True), [online])
    yield from _Manifest().sent("manifest.dsse", [envelope.SerializeToString(deterministic=True)])


def _files(session: Session, scope: Scope, witness: Witness, acts: Sequence[Envelope]) -> Iterator[File]:
    for number, root in enumerate(Roots.envelopes(session), 1):
        yield f"trust/root-{number:04}.dsse", [root.SerializeToString(deterministic=True)]
    yield "certificates/transport_ca.der", [certificates.one(session, certificates.TRANSPORT_CA)]
    yield "certificates/site_root.der", [certificates.one(session, certificates.SITE_ROOT)]
    yield from _of_products(session, scope)
    made: set[bytes] = set()
    for path, content in (*_site_cas(scope), *_pais(session, scope)):
        made.add(sha256(content).digest())
        yield path, [content]
    yield "vault/acts.bin", [_framed(each) for each in _shown(acts, made)]
    for edgehsm in scope.edgehsms:
        place = f"{edgehsm.edgehsm_id}-{edgehsm.epoch}"
        yield f"approvals/{place}.dsse", [edgehsm.approval]
        yield from _log(session, edgehsm, place, witness)
    for batch in _rows(session, BatchRow, _is_at(scope)):
        yield f"authorizations/{batch.auth_id.hex()}.dsse", [batch.authorization]


def _of_products(session: Session, scope: Scope) -> Iterator[File]:
    ids = {each.product_id for each in scope.products}
    for digest in sorted({each.paa_cert_digest for each in scope.products}):
        yield f"paa/{digest.hex()}.der", [certificates.paa(session, digest)]
    for product in scope.products:
        rule = ProductRule.FromString(Envelope.FromString(product.rule).payload)
        yield f"rules/{product.product_id.hex()}-{rule.sequence:04}.dsse", [product.rule]
    versions = set()
    for grant in _rows(session, GrantRow, lambda each: each.product_id in ids):
        yield f"grants/{grant.product_id.hex()}-{grant.sequence:04}.dsse", [grant.envelope]
        versions.add(grant.version_id)
    manifests = {
        each.version_digest: each.manifest
        for each in _rows(session, VersionRow, lambda row: row.version_id in versions)
    }
    for digest, content in manifests.items():
        yield f"versions/{digest.hex()}.bin", [content]


def _site_cas(scope: Scope) -> list[tuple[str, bytes]]:
    return [
        (f"site-ca/{each.edgehsm_id}-{each.epoch}.der", each.site_ca_cert_der)
        for each in scope.edgehsms
        if each.site_ca_cert_der
    ]


def _pais(session: Session, scope: Scope) -> list[tuple[str, bytes]]:
    found = []
    for each in _rows(session, PaiRow, _is_at(scope)):
        if each.cert_der:
            place = f"pai/{each.edgehsm_id}-{each.epoch}-{each.product_id.hex()}"
            found += [(f"{place}.der", each.cert_der), (f"{place}.request.dsse", each.request)]
    return found


def _log(session: Session, edgehsm: EdgeHsmRow, place: str, witness: Witness) -> Iterator[File]:
    seen = witness.last(edgehsm.edgehsm_id, edgehsm.epoch)
    end = min(seen.size, edgehsm.log_size)
    if not seen.note or end != seen.size:
        return  # never cosigned, or the records are behind the witness: nothing that anybody could verify
    yield f"logs/{place}.leaves", _framed_leaves(session, edgehsm, end)
    yield f"logs/{place}.checkpoint", [seen.note]


def _framed_leaves(session: Session, edgehsm: EdgeHsmRow, end: int) -> Iterator[bytes]:
    for first in range(0, end, _LEAVES_AT_ONCE):
        leaves = read_leaves(session, edgehsm.edgehsm_id, edgehsm.epoch, first, min(first + _LEAVES_AT_ONCE, end))
        yield b"".join(len(leaf).to_bytes(_LENGTH_BYTES) + leaf for _, leaf in leaves)


def _shown(acts: Sequence[Envelope], made: set[bytes]) -> Sequence[bytes]:
    """Rule 3: the vault may have acted since the snapshot."""
    last = 0
    for number, act in enumerate(acts, 1):
        if VaultAct.FromString(act.payload).result_digest in made:
            last = number
    return [each.SerializeToString(deterministic=True) for each in acts[:last]]


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES) + content


def _products_at(session: Session, edgehsms: Iterable[EdgeHsmRow]) -> set[bytes]:
    places = {(each.edgehsm_id, each.epoch) for each in edgehsms}
    shares = session.exec(
        select(GrantRow.product_id, GrantShareRow.edgehsm_id, GrantShareRow.epoch).join(
            GrantShareRow, col(GrantShareRow.grant_digest) == col(GrantRow.grant_digest)
        )
    )
    return {product_id for product_id, edgehsm_id, epoch in shares if (edgehsm_id, epoch) in places}


def _is_at(scope: Scope) -> Callable[[BatchRow | PaiRow], bool]:
    places = {(each.edgehsm_id, each.epoch) for each in scope.edgehsms}
    return lambda row: (row.edgehsm_id, row.epoch) in places


def _rows(session: Session, table: type[_R], wanted: Callable[[_R], bool]) -> Iterator[_R]:
    return (row for row in session.exec(select(table)) if wanted(row))


def _rechunked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), CHUNK_BYTES):
            yield chunk[at : at + CHUNK_BYTES]
