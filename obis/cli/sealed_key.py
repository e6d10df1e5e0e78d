"""Private keys of people at rest: PKCS#8 (RFC 5958) under PBES2 with scrypt (RFC 7914) and AES-256-CBC, as PEM.

The library writes PKCS#8 with 2048 rounds of PBKDF2 only, which a stolen file would not long withstand. This form is
as standard (`openssl pkcs8 -topk8 -scrypt` writes it, `openssl pkey` reads it) and costs a guess 16 MiB and five passes.
"""

from __future__ import annotations

import base64
import os
import textwrap
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from obis.cli.exits import Usage

COST: Final = 1 << 14  # N; with r = 8 that is 16 MiB, the most openssl reads without being asked to
BLOCK: Final = 8
PASSES: Final = 5
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES256_CBC = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42
_LABEL = "ENCRYPTED PRIVATE KEY"


def write_sealed(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes) -> None:
    """Keep the key at `path`, for its owner alone. Raises Usage where the file exists: a key is never overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Usage(f"{path} exists; a key is never overwritten", "choose another name") from None
    except OSError as failure:
        raise Usage(f"{path}: {failure.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(seal(key, passphrase))


def seal(key: ec.EllipticCurvePrivateKey, passphrase: bytes) -> bytes:
    """PEM of EncryptedPrivateKeyInfo."""
    salt, start = os.urandom(16), os.urandom(16)
    padder = PKCS7(128).padder()
    info = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    encryptor = Cipher(AES(_stretched(passphrase, salt)), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(info) + padder.finalize()) + encryptor.finalize()
    body = base64.b64encode(_sequence(_scheme(salt, start), _der(0x04, sealed))).decode()
    return "\n".join([f"-----BEGIN {_LABEL}-----", *textwrap.wrap(body, 64), f"-----END {_LABEL}-----", ""]).encode()


def read_sealed(path: Path, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """The key at `path`. Raises Usage for a missing file, a wrong passphrase, or a key that is not P-256."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as failure:
        raise Usage(f"{path}: {failure.strerror}") from None
    except (ValueError, TypeError):
        raise Usage(f"{path} does not open", "give the passphrase it was sealed under") from None
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        raise Usage(f"{path}: not a P-256 key")
    return key


def _stretched(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=PASSES).derive(passphrase)


def _scheme(salt: bytes, start: bytes) -> bytes:
    parameters = _sequence(_der(0x04, salt), _integer(COST), _integer(BLOCK), _integer(PASSES))
    return _sequence(_PBES2, _sequence(_sequence(_SCRYPT, parameters), _sequence(_AES256_CBC, _der(0x04, start))))


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
