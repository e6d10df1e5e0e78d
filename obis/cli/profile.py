"""A profile: which mesh a person talks to, and as whom. One folder, $OBIS_HOME or ~/.config/obis.

    mesh.json    public: fingerprint, addresses, the cloud's transport CA
    person.json  public: person id and organisation, by the cloud's word
    person.key   transport key, sealed under the person's passphrase (obis.mesh.transport)
    person.pem   its certificate chain, leaf first

The transport key opens connections; what needs a quorum needs approvers' keys besides, which are not in here.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from obis.cli.exits import Usage
from obis.cli.files import read_json, write

_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}")


@dataclass(frozen=True)
class Mesh:
    """The public facts of a mesh, as its owner hands them out."""

    fingerprint: bytes  # SHA-256 of the TrustRoot version 1 payload, 32 bytes
    cloud: str  # host:port of the mesh port
    enrolment: str  # host:port of the enrolment port
    transport_ca_pem: str

    @classmethod
    def read(cls, path: Path) -> Mesh:
        """From a mesh.json. Raises Usage with what is missing in it."""
        found = read_json(path)
        texts = [found.get(name) for name in ("fingerprint", "cloud", "enrolment", "transport_ca_pem")]
        if not all(isinstance(text, str) and text for text in texts):
            raise Usage(f"{path} must hold fingerprint, cloud, enrolment and transport_ca_pem")
        fingerprint, cloud, enrolment, pem = (str(text) for text in texts)
        for address in (cloud, enrolment):
            if not _ADDRESS.fullmatch(address):
                raise Usage(f"{path}: {address!r} is not host:port")
        return cls(fingerprint_of(fingerprint), cloud, enrolment, pem)

    def write(self, path: Path) -> None:
        """As a mesh.json."""
        facts = {"fingerprint": self.fingerprint.hex(), "cloud": self.cloud, "enrolment": self.enrolment}
        write(path, json.dumps(facts | {"transport_ca_pem": self.transport_ca_pem}, indent=1).encode() + b"\n")


@dataclass(frozen=True)
class Person:
    """Who a profile speaks for."""

    person_id: str
    organisation_id: str


@dataclass(frozen=True)
class Profile:
    """One folder of the kind above."""

    home: Path

    @classmethod
    def default(cls) -> Profile:
        """$OBIS_HOME, else $XDG_CONFIG_HOME/obis, else ~/.config/obis."""
        chosen = os.environ.get("OBIS_HOME")
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(chosen) if chosen else Path(config) / "obis")

    def mesh(self) -> Mesh:
        """Which mesh. Raises Usage with how to join one."""
        if not self.mesh_path.exists():
            raise Usage(
                f"no mesh is known here ({self.mesh_path})", "run `obis mesh join MESH.json` with the owner's file"
            )
        return Mesh.read(self.mesh_path)

    def person(self) -> Person:
        """Who speaks. Raises Usage with how to log in."""
        if not self.person_path.exists():
            raise Usage(f"nobody is logged in here ({self.home})", "run `obis login`")
        found = read_json(self.person_path)
        return Person(str(found.get("person_id")), str(found.get("organisation_id")))

    def keep_person(self, person: Person) -> None:
        """Remember who speaks."""
        facts = {"person_id": person.person_id, "organisation_id": person.organisation_id}
        write(self.person_path, json.dumps(facts).encode() + b"\n")

    @property
    def mesh_path(self) -> Path:
        """mesh.json."""
        return self.home / "mesh.json"

    @property
    def person_path(self) -> Path:
        """person.json."""
        return self.home / "person.json"

    @property
    def key_path(self) -> Path:
        """The sealed transport key."""
        return self.home / "person.key"

    @property
    def chain_path(self) -> Path:
        """Its certificates."""
        return self.home / "person.pem"


def fingerprint_of(text: str) -> bytes:
    """32 bytes from 64 hex digits; colons and spaces, as people write them, are passed over. Raises Usage."""
    digits = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise Usage("a fingerprint is 64 hex digits", "it is printed by `obis root sign` and stands in mesh.json")
    return bytes.fromhex(digits)


def octets(text: str, length: int | None = None, name: str = "id") -> bytes:
    """Bytes of an id in hex, as commands take them. Raises Usage."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise Usage(f"{name} {text!r} is not hex") from None
    if length is not None and len(found) != length:
        raise Usage(f"{name} {text!r} has {len(found)} bytes, not {length}")
    return found
