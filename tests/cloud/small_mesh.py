"""A whole mesh without a factory: a cloud and a vault on real ports over mutual TLS, people with keys, and an EdgeHSM's
keys to enrol with. Everything goes through the public RPCs; nothing is written into the database by hand.
"""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1, sha256
from pathlib import Path
from secrets import token_bytes

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from prometheus_client import CollectorRegistry

from cloud import beginning, composition, deliveries
from cloud.config import CloudConfig
from cloud.vault import beginning as vault_beginning
from cloud.vault.config import VaultConfig
from cloud.vault.ledger import Ledger
from cloud.vault.servicer import VaultServicer
from obis.matter.declaration import Declaration, sign_declaration
from obis.mesh.authorities import Authorities
from obis.mesh.channel import open_channel
from obis.mesh.credentials import Credentials
from obis.mesh.identity import CLOUD_HOST, Identity, Role
from obis.mesh.server import MeshServer, Port
from obis.mesh.transport import TransportKey, read_chain
from obis.trust import payload
from obis.trust.envelope import make_envelope, sign_with
from obis.trust.signature import ES256, key_id, low_s
from obis.v1 import batches_pb2 as batches
from obis.v1 import enrolment_objects_pb2 as enrolment_objects
from obis.v1 import enrolment_pb2 as enrolment
from obis.v1 import factories_pb2 as factories
from obis.v1 import grant_pb2 as grant
from obis.v1 import grants_pb2 as grants
from obis.v1 import organisations_pb2 as organisations
from obis.v1 import package_pb2 as package
from obis.v1 import products_pb2 as products
from obis.v1 import rule_pb2 as rule
from obis.v1 import trust_root_pb2 as trust_root
from obis.v1 import versions_pb2 as versions
from obis.v1.batches_pb2_grpc import BatchesStub
from obis.v1.delivery_pb2 import DeliveryResult
from obis.v1.enrolment_pb2_grpc import EnrolmentStub
from obis.v1.envelope_pb2 import SigScheme
from obis.v1.factories_pb2_grpc import FactoriesStub
from obis.v1.grants_pb2_grpc import GrantsStub
from obis.v1.keys_pb2_grpc import KeysStub
from obis.v1.organisations_pb2_grpc import OrganisationsStub
from obis.v1.products_pb2_grpc import ProductsStub
from obis.v1.scope_pb2 import Assurance, EvidenceLevel, Operation, Window
from obis.v1.vault_pb2_grpc import add_VaultServicer_to_server
from obis.v1.versions_pb2_grpc import VersionsStub

SECRET = b"a start secret of a test"
VENDOR, PRODUCT = 0xFFF1, 0x8001
PEOPLE = ("ann", "bob", "cat", "dan")
SITES = ("th-01", "vn-01")


class Key:
    """A P-256 key that signs as approvers' keys do."""

    scheme = SigScheme.SIG_SCHEME_P256

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.spki = spki(self.private)
        self.key_id = key_id(self.spki)
        self.point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, pae):
        return low_s(self.private.sign(pae, ES256))

    def csr(self):
        return csr(self.private)


class LogKey(Key):
    scheme = SigScheme.SIG_SCHEME_ED25519

    def __init__(self):
        self.private = ed25519.Ed25519PrivateKey.generate()
        self.spki = spki(self.private)
        self.key_id = key_id(self.spki)

    def sign(self, pae):
        return self.private.sign(pae)


def spki(private):
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def csr(private, name="ignored"):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)


def whole(message):
    return message.SerializeToString(deterministic=True)


@dataclass
class Caller:
    """One person's stubs."""

    channel: grpc.aio.Channel
    organisations: OrganisationsStub = field(init=False)
    products: ProductsStub = field(init=False)
    versions: VersionsStub = field(init=False)
    grants: GrantsStub = field(init=False)
    factories: FactoriesStub = field(init=False)
    batches: BatchesStub = field(init=False)
    keys: KeysStub = field(init=False)
    enrolment: EnrolmentStub = field(init=False)

    def __post_init__(self):
        for stub in (OrganisationsStub, ProductsStub, VersionsStub, GrantsStub, FactoriesStub, BatchesStub, KeysStub):
            setattr(self, stub.__name__.removesuffix("Stub").lower(), stub(self.channel))
        self.enrolment = EnrolmentStub(self.channel)


class Edge:
    """The keys of an EdgeHSM in one epoch, and what it signs with them."""

    def __init__(self, edgehsm_id, epoch=1):
        self.id, self.epoch = edgehsm_id, epoch
        self.identity, self.log, self.hpke, self.site_ca = Key(), LogKey(), Key(), Key()
        wrap = rsa.generate_private_key(65537, 3072)
        self.keys = enrolment_objects.EdgeHsmKeys(
            identity_spki_der=self.identity.spki,
            log_spki_der=self.log.spki,
            hpke_spki_der=self.hpke.spki,
            site_ca_spki_der=self.site_ca.spki,
            wrap_spki_der=spki(wrap),
        )
        self.pai_keys = {}

    def enrol_request(self, ticket, signers=None, **changes):
        request = enrolment_objects.EnrolRequest(
            ticket=ticket,
            keys=self.keys,
            identity_csr_der=self.identity.csr(),
            site_ca_csr_der=self.site_ca.csr(),
            assurance=Assurance.ASSURANCE_SOFTWARE,
            software_version="test",
        )
        for name, value in changes.items():
            setattr(request, name, value)
        signers = signers or [self.identity, self.log, self.site_ca]
        return make_envelope(payload.ENROL_REQUEST, whole(request), signers)

    def pai_request(self, product_id, grant_digest, signer=None, pai_key=None, **changes):
        pai_key = pai_key or self.pai_keys.setdefault(product_id, Key())
        request = enrolment_objects.PaiRequest(
            edgehsm_id=self.id,
            epoch=self.epoch,
            product_id=product_id,
            grant_digest=grant_digest,
            pai_csr_der=pai_key.csr(),
            debug_spki_der=Key().spki,
        )
        for name, value in changes.items():
            setattr(request, name, value)
        return make_envelope(payload.PAI_REQUEST, whole(request), [signer or self.identity])


@dataclass
class SmallMesh:
    """See the module. `people` are the trust root's; `odm` and `other_odm` are callers of two ODMs."""

    folder: Path
    people: dict[str, Key] = field(default_factory=lambda: {name: Key() for name in PEOPLE})
    callers: dict[str, Caller] = field(default_factory=dict)
    secure_boot: Key = field(default_factory=Key)
    cd_signer: Key = field(default_factory=Key)
    vault_port: int = 0

    # ---- beginning

    async def begin(self):
        self.vault_config = VaultConfig(self.folder / "vault", "127.0.0.1:0", (VENDOR,), "Acme")
        self.vault_config.data.mkdir()
        self.config = self.configured()
        now = int(time.time())
        cloud_public = beginning.init(self.config, SECRET, now=now)
        vault_public = vault_beginning.init(self.vault_config, SECRET, now=now)
        self.root = self.signed_root(cloud_public, vault_public)
        self.fingerprint = sha256(self.root.payload).digest()
        beginning.init_root(self.config, SECRET, whole(self.root), now=now)
        vault_beginning.init_root(self.vault_config, SECRET, whole(self.root))
        self.install_vault_certificate()
        self.vault_port = await self.start_vault()
        self.config = self.configured()
        await self.start_cloud()

    def configured(self):
        """The cloud's configuration, with the vault where it is now."""
        data, free = self.folder / "cloud", "127.0.0.1:0"
        vault = f"127.0.0.1:{self.vault_port}"
        return CloudConfig(data, f"sqlite:///{data / 'cloud.db'}", free, free, vault, "oem", "Acme Home")

    def signed_root(self, cloud_public, vault_public, signers=("ann", "bob"), **changes):
        machine = [(k["role"], k["scheme"], bytes.fromhex(k["spki_der"])) for k in cloud_public["keys"]]
        keys = [(each.spki, "P256", name) for name, each in self.people.items()]
        keys += [(spki_der, scheme, "") for _, scheme, spki_der in machine]
        roles = {role: ([each.key_id for each in self.people.values()], 2) for role in ("ROOT", "GRANT", "ENROLMENT")}
        roles |= {role: ([key_id(spki_der)], 1) for role, _, spki_der in machine}
        root = trust_root.TrustRoot(
            mesh_name="Acme devices",
            version=1,
            issued_at=int(time.time()),
            expires_at=int(time.time()) + 10**8,
            persons=[trust_root.RootPerson(person_id=name, name=name.title()) for name in self.people],
            keys=[
                trust_root.RootKey(
                    key_id=key_id(der), spki_der=der, scheme=SigScheme.Value(f"SIG_SCHEME_{scheme}"), person_id=person
                )
                for der, scheme, person in keys
            ],
            roles=[
                trust_root.RootRoleRule(
                    role=trust_root.RootRole.Value(f"ROOT_ROLE_{name}"), key_ids=sorted(ids), threshold=threshold
                )
                for name, (ids, threshold) in roles.items()
            ],
            sites=[trust_root.RootSite(factory_id=each, country=each[:2].upper(), name=each) for each in SITES],
            transport_ca_spki_der=bytes.fromhex(cloud_public["transport_ca_spki_der"]),
            site_root_spki_der=bytes.fromhex(vault_public["site_root_spki_der"]),
        )
        for name, value in changes.items():
            setattr(root, name, value)
        return make_envelope(payload.TRUST_ROOT, whole(root), [self.people[name] for name in signers])

    def install_vault_certificate(self):
        chain = self.folder / "vault-chain.pem"
        request = self.vault_config.request.read_bytes()
        chain.write_bytes(beginning.certify_vault(self.config, SECRET, request, now=int(time.time())))
        vault_beginning.install_cert(self.vault_config, SECRET, chain)

    async def start_vault(self):
        keys = vault_beginning.open_keys(self.vault_config, SECRET)
        self.ledger = Ledger(self.vault_config.ledger)
        own = TransportKey.unseal(vault_beginning.transport_key(self.vault_config), SECRET)
        authority = vault_beginning.transport_authority(self.vault_config)
        credentials = Credentials(
            Authorities({CLOUD_HOST: [authority]}),
            own.certified(read_chain(vault_beginning.transport_chain(self.vault_config))),
        )
        self.vault_servicer = VaultServicer(keys, self.ledger, self.fingerprint, lambda: int(time.time()))
        register = partial(add_VaultServicer_to_server, self.vault_servicer)
        self.vault = MeshServer(Port("127.0.0.1:0"), credentials, [register], registry=CollectorRegistry())
        return await self.vault.start()

    async def start_cloud(self):
        self.cloud = composition.build(self.config, SECRET, lambda: int(time.time()))
        await self.cloud.start()
        self.job = asyncio.create_task(self.cloud.certification.run())
        self.authority = x509.load_der_x509_certificate(self.cloud.service.ca.cert_der)
        anonymous = Credentials(Authorities({CLOUD_HOST: [self.authority]}))
        channel = open_channel(f"127.0.0.1:{self.cloud.enrolment.port}", composition.IDENTITY, anonymous)
        self.enrolment = EnrolmentStub(channel)
        self.channels = [channel]

    async def end(self):
        self.job.cancel()
        await asyncio.gather(self.job, return_exceptions=True)
        for channel in self.channels:
            await channel.close()
        await asyncio.gather(self.cloud.mesh.stop(), self.cloud.enrolment.stop(), self.vault.stop())
        self.cloud.service.store.close()
        self.ledger.close()

    # ---- people

    def caller(self, identity, chain, key):
        credentials = Credentials(Authorities({CLOUD_HOST: [self.authority]}), key.certified(chain))
        channel = open_channel(f"127.0.0.1:{self.cloud.mesh.port}", composition.IDENTITY, credentials)
        self.channels.append(channel)
        self.callers[identity] = Caller(channel)
        return self.callers[identity]

    async def login(self, name):
        """A person of the trust root, by their own key."""
        key = TransportKey.generate()
        request = enrolment_objects.PersonRequest(
            person_id=name, spki_digest=sha256(key.public_der).digest(), requested_at=int(time.time())
        )
        proof = make_envelope(payload.PERSON_REQUEST, whole(request), [self.people[name]])
        answer = await self.enrolment.EnrolPerson(
            enrolment.EnrolPersonRequest(csr_der=key.request(Identity(Role.PERSON, name)), person_request=proof)
        )
        return self.caller(name, answer.certificate_chain_der, key)

    async def join(self, organisation_id, name, factory_ids):
        """A new ODM with one person, by invitation."""
        oem = self.callers["ann"]
        await oem.organisations.CreateOrganisation(
            organisations.CreateOrganisationRequest(
                organisation=organisations.Organisation(
                    organisation_id=organisation_id,
                    name=organisation_id.title(),
                    kind=organisations.OrganisationKind.ORGANISATION_KIND_ODM,
                    factory_ids=factory_ids,
                )
            )
        )
        invitation = await oem.organisations.InvitePerson(
            organisations.InvitePersonRequest(organisation_id=organisation_id, person_id=name)
        )
        return await self.accept_invitation(name, invitation.invitation_token)

    async def accept_invitation(self, name, token):
        key = TransportKey.generate()
        answer = await self.enrolment.EnrolPerson(
            enrolment.EnrolPersonRequest(csr_der=key.request(Identity(Role.PERSON, name)), invitation_token=token)
        )
        return self.caller(name, answer.certificate_chain_der, key)

    async def accept_again(self, name):
        """A person of an ODM, invited once more by the OEM."""
        invitation = await self.callers["ann"].organisations.InvitePerson(
            organisations.InvitePersonRequest(organisation_id="odm-a", person_id=name)
        )
        return await self.accept_invitation(name, invitation.invitation_token)

    async def sign(self, proposal, *names):
        """These persons sign; returns the proposal as it stands after the last."""
        kind = payload_type(proposal.envelope.payload_type)
        answer = None
        for name in names:
            sig = sign_with(kind, proposal.envelope.payload, self.people[name])
            request = grants.SignProposalRequest(proposal_id=proposal.proposal_id, signature=sig)
            answer = await self.callers["ann"].grants.SignProposal(request)
        return answer.proposal

    # ---- sites

    async def ticket(self, subject, factory_id, edgehsm_id="", proposer="ann", signers=("bob", "cat")):
        proposed = await self.callers[proposer].factories.ProposeTicket(
            factories.ProposeTicketRequest(
                subject=subject, factory_id=factory_id, edgehsm_id=edgehsm_id, valid_seconds=3600
            )
        )
        return (await self.sign(proposed.proposal, *signers)).envelope

    async def enrol_edge(self, factory_id, edgehsm_id):
        """An EdgeHSM from ticket to certificates."""
        subject = enrolment_objects.TicketSubject.TICKET_SUBJECT_EDGEHSM
        ticket = await self.ticket(subject, factory_id, edgehsm_id)
        epoch = enrolment_objects.EnrolTicket.FromString(ticket.payload).epoch
        edge = Edge(edgehsm_id, epoch)
        shown = await self.enrolment.EnrolEdgeHsm(enrolment.EnrolEdgeHsmRequest(request=edge.enrol_request(ticket)))
        proposed = await self.callers["ann"].factories.ProposeApproval(
            factories.ProposeApprovalRequest(
                edgehsm_id=edgehsm_id,
                epoch=epoch,
                key_fingerprint=shown.key_fingerprint,
                outage_budget_seconds=14 * 86400,
            )
        )
        await self.sign(proposed.proposal, "bob", "cat")
        edge.result = await self.until(
            lambda: self.enrolment.GetEdgeHsmEnrolment(
                enrolment.GetEdgeHsmEnrolmentRequest(edgehsm_id=edgehsm_id, epoch=epoch)
            )
        )
        return edge

    async def until(self, ask, seconds=10):
        """Ask again until the answer is not FAILED_PRECONDITION."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as refused:
                if refused.code() is not grpc.StatusCode.FAILED_PRECONDITION or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    # ---- products

    async def product(self, quantity=1000, name="Bulb", odm="odm-a", odm_person="oda"):
        """A live product with one ODM in its workspace."""
        oem = self.callers["ann"]
        created = await self.until(
            lambda: oem.products.CreateProduct(
                products.CreateProductRequest(
                    name=name,
                    vendor_id=VENDOR,
                    product_code=PRODUCT,
                    lifetime_quantity=quantity,
                    keys=[
                        rule.ProductKey(
                            purpose=rule.KeyPurpose.KEY_PURPOSE_SECURE_BOOT, name="boot", spki_der=self.secure_boot.spki
                        )
                    ],
                    cd_signer_spki_der=[self.cd_signer.spki],
                )
            )
        )
        proposal = await oem.grants.GetProposal(grants.GetProposalRequest(proposal_id=created.proposal_id))
        await self.sign(proposal.proposal, "bob", "cat")
        await oem.products.InviteOrganisation(
            products.InviteOrganisationRequest(product_id=created.product_id, organisation_id=odm)
        )
        await self.callers[odm_person].products.AcceptInvitation(
            products.AcceptInvitationRequest(product_id=created.product_id)
        )
        return created.product_id

    def upload(self, product_id, image=b"firmware" * 1000, **changes):
        header = versions.FirmwareHeader(
            product_id=product_id,
            firmware_digest=sha256(image).digest(),
            size=len(image),
            signature=self.secure_boot.sign(image),
        )
        for field_name, value in changes.items():
            setattr(header, field_name, value)

        async def parts():
            yield versions.UploadFirmwareRequest(header=header)
            for at in range(0, len(image), 3000):
                yield versions.UploadFirmwareRequest(chunk=image[at : at + 3000])

        return parts()

    def draft(self, product_id, firmware_digest, label="1.0", **changes):
        draft = versions.VersionDraft(
            product_id=product_id,
            label=label,
            soc="generic-wifi",
            firmware_digest=firmware_digest,
            firmware_version="1.0.0",
            factory_data=package.FactoryDataTemplate(
                vendor_name="Acme",
                product_name="Bulb",
                hardware_version=1,
                hardware_version_string="A",
                discovery_capabilities=6,
                spake2p_iterations=1000,
            ),
            certification_declaration=self.declaration(),
            chip_security=package.ChipSecurity(secure_boot=True, debug_locked=True),
        )
        for field_name, value in changes.items():
            setattr(draft, field_name, value)
        return draft

    def declaration(self, vendor_id=VENDOR, product_ids=(PRODUCT,), signer=None):
        signer = signer or self.cd_signer
        said = Declaration(
            vendor_id=vendor_id,
            product_ids=product_ids,
            device_type_id=0x0100,
            certificate_id="ZIG20142ZB330001-24",
            version_number=1,
            certification_type=0,
        )
        return sign_declaration(said, key_id=sha1(signer.point).digest(), sign=signer.sign)

    async def version(self, product_id, odm_person="oda", label="1.0", image=b"firmware" * 1000):
        """A submitted version."""
        odm = self.callers[odm_person]
        uploaded = await odm.versions.UploadFirmware(self.upload(product_id, image))
        made = await odm.versions.CreateVersion(
            versions.CreateVersionRequest(draft=self.draft(product_id, uploaded.firmware_digest, label))
        )
        await odm.versions.SubmitVersion(versions.SubmitVersionRequest(version_id=made.version.version_id))
        return made.version

    def grant_request(self, version_id, shares, total=None, window=None, **changes):
        now = int(time.time())
        window = window or Window(starts_at=now - 60, ends_at=now + 30 * 86400)
        total = total or sum(quantity for *_, quantity in shares)
        issue = grant.OpRule(operation=Operation.OPERATION_ISSUE_DAC, max_total=total, max_per_device=1, window=window)
        program = grant.OpRule(operation=Operation.OPERATION_PROGRAM_FIRMWARE, max_total=total * 3, window=window)
        request = grants.ProposeGrantRequest(
            version_id=version_id,
            total_quantity=total,
            edge_caps=[
                grant.EdgeCap(factory_id=f, edgehsm_id=e, epoch=epoch, max_quantity=q) for f, e, epoch, q in shares
            ],
            window=window,
            operations=[issue, program],
            lease=grant.Lease(kind=grant.LeaseKind.LEASE_KIND_NONE),
            required_assurance=Assurance.ASSURANCE_SOFTWARE,
            minimum_evidence=EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
            common_name_pattern="Acme {serial}",
        )
        for field_name, value in changes.items():
            setattr(request, field_name, value)
        return request

    async def grant(self, version_id, shares, signers=("bob", "cat"), **how):
        """A signed Grant."""
        request = self.grant_request(version_id, shares, **how)
        proposed = await self.callers["ann"].grants.ProposeGrant(request)
        return await self.sign(proposed.proposal, *signers)

    async def pai(self, edge, product_id, grant_digest):
        """The EdgeHSM answers the Grant's delivery; the vault certifies; returns the PaiDelivery."""

        def answer(session):
            queued = deliveries.after(session, edge.id, edge.epoch, 0, limit=10_000)
            number = max(each.number for each in queued if each.WhichOneof("content") == "grant")
            result = DeliveryResult(number=number, edgehsm_id=edge.id, epoch=edge.epoch, accepted=True)
            result.pai_request.CopyFrom(edge.pai_request(product_id, grant_digest))
            deliveries.record_result(session, result, now=int(time.time()))

        await self.cloud.service.store.write(answer)
        return await self.queued(edge, "pai", lambda delivery: delivery.pai.product_id == product_id)

    async def queued(self, edge, kind, fits=lambda delivery: True):
        """The newest delivery of a kind that fits, once there is one."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = await self.cloud.service.store.read(
                lambda session: deliveries.after(session, edge.id, edge.epoch, 0, limit=10_000)
            )
            found = [each for each in found if each.WhichOneof("content") == kind and fits(each)]
            if found:
                return found[-1]
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {kind} was queued")

    def batch_request(self, version_id, edge, factory_id, quantity, window=None):
        now = int(time.time())
        return batches.CreateBatchRequest(
            request_id=token_bytes(16),
            version_id=version_id,
            factory_id=factory_id,
            edgehsm_id=edge.id,
            quantity=quantity,
            window=window or Window(starts_at=now - 30, ends_at=now + 86400),
        )


def payload_type(text):
    kinds = (payload.GRANT, payload.PRODUCT_RULE, payload.ENROL_TICKET, payload.ENROLMENT_APPROVAL)
    return next(kind for kind in kinds if kind.text == text)
