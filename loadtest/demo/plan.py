"""What the demo plays: deploy/demo/*.toml as values. Who, where, what, how many, and what goes wrong where."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parents[2] / "deploy" / "demo"


@dataclass(frozen=True)
class Person:
    """Somebody of the OEM whose key stands in the trust root."""

    id: str
    name: str
    proposes: bool


@dataclass(frozen=True)
class Terms:
    """What every Grant of the demo says."""

    window_days: int
    rework_days: int
    reopen_per_device: int
    debug_permissions: int
    debug_time_box_seconds: int
    outage_days: int


@dataclass(frozen=True)
class Odm:
    """A contract manufacturer and its engineer."""

    id: str
    name: str
    person: str


@dataclass(frozen=True)
class Factory:
    """A site with one EdgeHSM and one station."""

    id: str
    country: str
    name: str
    edgehsm: str
    sockets: int
    odm: Odm


@dataclass(frozen=True)
class Product:
    """One of the 21."""

    name: str
    product_code: int
    device_type: int
    factory: str
    soc: str
    firmware_version: str

    @property
    def slug(self) -> str:
        """Its name in file names."""
        return self.name.lower().replace(" ", "-")


@dataclass(frozen=True)
class Incidents:
    """Factory ids: what goes wrong, and where."""

    link_cut: str
    boundary_killed: str
    closed_window: str
    wrong_factory: str
    other_key: str
    rework: str


@dataclass(frozen=True)
class Plan:
    """The whole play."""

    mesh_name: str
    vendor_id: int
    oem_id: str
    oem_name: str
    people: tuple[Person, ...]
    threshold: int
    roles: tuple[str, ...]
    terms: Terms
    devices_per_product: int
    lifetime_quantity: int
    spake2p_iterations: int
    factories: tuple[Factory, ...]
    products: tuple[Product, ...]
    incidents: Incidents

    @property
    def proposer(self) -> Person:
        """Who proposes everything and signs nothing but the root."""
        return next(each for each in self.people if each.proposes)

    @property
    def signers(self) -> tuple[Person, ...]:
        """Who signs the queue."""
        return tuple(each for each in self.people if not each.proposes)

    def factory(self, factory_id: str) -> Factory:
        """One site."""
        return next(each for each in self.factories if each.id == factory_id)

    def products_of(self, factory_id: str) -> tuple[Product, ...]:
        """What a site makes."""
        return tuple(each for each in self.products if each.factory == factory_id)

    def socs_of(self, factory_id: str) -> tuple[str, ...]:
        """Chip families on a site's line."""
        return tuple(sorted({each.soc for each in self.products_of(factory_id)}))

    def shortened(self, devices_per_product: int) -> Plan:
        """The same play with fewer devices, for the test of it."""
        return replace(self, devices_per_product=devices_per_product)


def read_plan(folder: Path = DATA) -> Plan:
    """The plan in a folder of TOML files. Raises KeyError or TypeError with the name of what is missing."""
    mesh, sites, goods = (
        tomllib.loads((folder / f"{name}.toml").read_text()) for name in ("mesh", "factories", "products")
    )
    return Plan(
        mesh_name=mesh["name"],
        vendor_id=mesh["vendor_id"],
        oem_id=mesh["oem"]["organisation_id"],
        oem_name=mesh["oem"]["name"],
        people=tuple(Person(each["id"], each["name"], each.get("proposes", False)) for each in mesh["person"]),
        threshold=mesh["quorum"]["threshold"],
        roles=tuple(mesh["quorum"]["roles"]),
        terms=Terms(**mesh["grant"]),
        devices_per_product=mesh["devices"]["per_product"],
        lifetime_quantity=mesh["devices"]["lifetime_quantity"],
        spake2p_iterations=mesh["devices"]["spake2p_iterations"],
        factories=tuple(_factory(each) for each in sites["factory"]),
        products=tuple(Product(**each) for each in goods["product"]),
        incidents=Incidents(**sites["incidents"]),
    )


def _factory(found: dict[str, Any]) -> Factory:
    return Factory(**(found | {"odm": Odm(**found["odm"])}))
