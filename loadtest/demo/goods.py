"""Products, versions, Grants, batches: steps 1 to 4 of the story, through the public RPCs.

The OEM's proposer proposes; the quorum signs at its own desks (`people.sitting`); the ODMs' engineers upload, cut and
submit versions and create batches. Firmware is random, and its signature is the secure boot key's.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from loadtest.demo.failure import CALL_SECONDS, DemoFailed
from loadtest.demo.keys import Keys
from loadtest.demo.people import Crew
from loadtest.demo.plan import Product
from loadtest.demo.stage import Stage
from obis.cli.declaration import development_declaration
from obis.cli.firmware import upload_firmware
from obis.refusal import Refused
from obis.v1.batches_pb2 import CreateBatchRequest, CreateBatchResponse, ProductionBatch
from obis.v1.grant_pb2 import EdgeCap, Lease, LeaseKind, OpRule
from obis.v1.grants_pb2 import ProposeGrantRequest
from obis.v1.package_pb2 import ChipSecurity, FactoryDataTemplate
from obis.v1.products_pb2 import AcceptInvitationRequest, CreateProductRequest, InviteOrganisationRequest
from obis.v1.reason_pb2 import Reason
from obis.v1.rule_pb2 import KeyPurpose, ProductKey
from obis.v1.scope_pb2 import Assurance, EvidenceLevel, Operation, Window
from obis.v1.versions_pb2 import CreateVersionRequest, SubmitVersionRequest, VersionDraft

DAY: Final = 86400
EXTRA: Final = 20  # devices of each Grant beyond the batch: for what the incidents try
FIRMWARE_BYTES: Final = 48 * 1024
PAI_PATIENCE_SECONDS: Final = 120.0


@dataclass
class Goods:
    """What came of a product so far."""

    product: Product
    product_id: bytes
    version_id: bytes = b""
    batch: ProductionBatch | None = None

    @property
    def auth_id(self) -> str:
        """The batch's Authorization, hex."""
        if self.batch is None:
            raise DemoFailed(f"{self.product.name} has no batch yet")
        return self.batch.auth_id.hex()


async def create_products(stage: Stage, crew: Crew, keys: Keys) -> list[Goods]:
    """Step 1, first half: propose every rule."""

    async def create(product: Product) -> Goods:
        request = CreateProductRequest(
            name=product.name,
            vendor_id=stage.plan.vendor_id,
            product_code=product.product_code,
            lifetime_quantity=stage.plan.lifetime_quantity,
            keys=[
                ProductKey(purpose=KeyPurpose.KEY_PURPOSE_PAI, name="pai"),
                ProductKey(
                    purpose=KeyPurpose.KEY_PURPOSE_SECURE_BOOT, name="boot", spki_der=keys.secure_boot.public.spki_der
                ),
                ProductKey(purpose=KeyPurpose.KEY_PURPOSE_SECURE_DEBUG, name="debug"),
            ],
            cd_signer_spki_der=[keys.declarations.public.spki_der],
        )
        return Goods(product, (await crew.oem.products.CreateProduct(request, timeout=CALL_SECONDS)).product_id)

    made = await asyncio.gather(*(create(each) for each in stage.plan.products))
    stage.board.say(f"{len(made)} product rules proposed, each for {stage.plan.lifetime_quantity} devices, ever")
    return list(made)


async def prepare_versions(stage: Stage, crew: Crew, keys: Keys, goods: list[Goods]) -> None:
    """Step 1, second half, and step 2: the ODM comes in, uploads firmware, cuts and submits a version."""
    await asyncio.gather(*(_prepare(stage, crew, keys, each) for each in goods))
    stage.board.say(f"{len(goods)} firmware images uploaded, {len(goods)} versions submitted")


async def propose_grants(stage: Stage, crew: Crew, goods: list[Goods]) -> None:
    """Step 3, first half: what the quorum is asked to allow."""
    await asyncio.gather(*(crew.oem.grants.ProposeGrant(_grant(stage, each), timeout=CALL_SECONDS) for each in goods))


async def create_batch(
    stage: Stage, crew: Crew, goods: Goods, quantity: int, seconds: int = DAY, patience: float = PAI_PATIENCE_SECONDS
) -> ProductionBatch:
    """Step 4. Waits while the EdgeHSM's PAI is not certified yet. Raises Refused for anything else."""
    factory = stage.plan.factory(goods.product.factory)
    request_id, until = os.urandom(16), time.monotonic() + patience
    while True:
        now = int(time.time())
        request = CreateBatchRequest(
            request_id=request_id,
            version_id=goods.version_id,
            factory_id=factory.id,
            edgehsm_id=factory.edgehsm,
            quantity=quantity,
            window=Window(starts_at=now, ends_at=now + seconds),
        )
        try:
            return (await _asked(crew, factory.id, request)).batch
        except Refused as refusal:
            if refusal.reason != Reason.REASON_PAI_NOT_READY or time.monotonic() > until:
                raise
        await asyncio.sleep(0.3)


async def _asked(crew: Crew, factory_id: str, request: CreateBatchRequest) -> CreateBatchResponse:
    from obis.cli.connection import answered

    with answered("cloud"):
        return await crew.odms[factory_id].batches.CreateBatch(request, timeout=CALL_SECONDS)


async def _prepare(stage: Stage, crew: Crew, keys: Keys, goods: Goods) -> None:
    odm = stage.plan.factory(goods.product.factory).odm
    cloud = crew.odms[goods.product.factory]
    invitation = InviteOrganisationRequest(product_id=goods.product_id, organisation_id=odm.id)
    await crew.oem.products.InviteOrganisation(invitation, timeout=CALL_SECONDS)
    await cloud.products.AcceptInvitation(AcceptInvitationRequest(product_id=goods.product_id), timeout=CALL_SECONDS)
    image = random.randbytes(FIRMWARE_BYTES)
    await upload_firmware(cloud, goods.product_id, image, keys.secure_boot)
    draft = _draft(stage, keys, goods, sha256(image).digest())
    version = (await cloud.versions.CreateVersion(CreateVersionRequest(draft=draft), timeout=CALL_SECONDS)).version
    goods.version_id = version.version_id
    await cloud.versions.SubmitVersion(SubmitVersionRequest(version_id=goods.version_id), timeout=CALL_SECONDS)


def _draft(stage: Stage, keys: Keys, goods: Goods, firmware_digest: bytes) -> VersionDraft:
    product = goods.product
    return VersionDraft(
        product_id=goods.product_id,
        label=f"{product.firmware_version}-mp1",
        soc=product.soc,
        firmware_digest=firmware_digest,
        firmware_version=product.firmware_version,
        factory_data=FactoryDataTemplate(
            vendor_name=stage.plan.oem_name,
            product_name=product.name,
            part_number=f"AH-{product.product_code:04X}",
            product_url="https://acme.example/devices",
            hardware_version=1,
            hardware_version_string="A1",
            discovery_capabilities=0b10,
            spake2p_iterations=stage.plan.spake2p_iterations,
            device_type=product.device_type,
        ),
        certification_declaration=development_declaration(
            keys.declarations,
            vendor_id=stage.plan.vendor_id,
            product_code=product.product_code,
            device_type=product.device_type,
            certificate_id=f"OBIS00000{product.product_code:04X}DEMO-1",
        ),
        chip_security=ChipSecurity(secure_boot=True, debug_locked=True, anti_rollback=1),
    )


def _grant(stage: Stage, goods: Goods) -> ProposeGrantRequest:
    terms, factory = stage.plan.terms, stage.plan.factory(goods.product.factory)
    total = stage.plan.devices_per_product + EXTRA
    starts = stage.began_at - 60
    making = Window(starts_at=starts, ends_at=starts + terms.window_days * DAY)
    rework = Window(starts_at=starts, ends_at=starts + terms.rework_days * DAY)
    return ProposeGrantRequest(
        version_id=goods.version_id,
        total_quantity=total,
        edge_caps=[EdgeCap(factory_id=factory.id, edgehsm_id=factory.edgehsm, epoch=1, max_quantity=total)],
        window=making,
        operations=[
            OpRule(operation=Operation.OPERATION_ISSUE_DAC, max_total=total, max_per_device=1, window=making),
            OpRule(operation=Operation.OPERATION_PROGRAM_FIRMWARE, max_total=4 * total, window=making),
            OpRule(
                operation=Operation.OPERATION_REOPEN_DEBUG,
                max_total=total,
                max_per_device=terms.reopen_per_device,
                window=rework,
                debug_permissions=terms.debug_permissions,
                time_box_seconds=terms.debug_time_box_seconds,
            ),
            OpRule(operation=Operation.OPERATION_CLOSE_DEBUG, max_total=total, window=rework),
        ],
        lease=Lease(kind=LeaseKind.LEASE_KIND_NONE),
        required_assurance=Assurance.ASSURANCE_SOFTWARE,
        minimum_evidence=EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        common_name_pattern=f"ACME {goods.product.product_code:04X} {{serial}}",
    )
