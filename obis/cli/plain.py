"""Messages as people and other programs read them: one form for `--json`, for TOML input and for what approvers see.

Rules, both ways:
 1. Field names are the contract's. A field that is not set is left out.
 2. Bytes are lower-case hex. An exact signed payload is hex too: nothing is guessed from its type here.
 3. An enum value is its word without the enum's prefix: ISSUE_DAC.
 4. Unix seconds stay numbers in JSON. In TOML a date-time may stand for them.
 5. Input with a name the contract does not have is refused by name (Usage), never ignored.

It walks the message's descriptor, so a field added to the contract is shown without a change here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from obis.cli.exits import Usage

Plain: TypeAlias = "str | int | bool | float | list[Plain] | dict[str, Plain]"
Field: TypeAlias = Any  # a FieldDescriptor; its stubs give it two types
M = TypeVar("M", bound=Message)


def to_plain(message: Message) -> dict[str, Plain]:
    """The message as JSON values."""
    return {
        field.name: [_scalar(field, each) for each in value] if field.is_repeated else _scalar(field, value)
        for field, value in message.ListFields()
    }


def lines(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every field that is set, in the order of the contract: what an approver reads."""
    for field, value in message.ListFields():
        for number, each in enumerate(value if field.is_repeated else [value]):
            path = f"{prefix}{field.name}{f'[{number}]' if field.is_repeated else ''}"
            if field.message_type:
                yield from lines(each, f"{path}.")
            else:
                yield path, _for_people(field, each)


def from_plain(message_class: type[M], plain: Mapping[str, object], where: str) -> M:
    """The message that TOML or JSON describes. Raises Usage with the path of what does not fit."""
    message = message_class()
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in plain.items():
        if name not in fields:
            raise Usage(f"{where}: there is no field {name!r}", f"it may have: {', '.join(sorted(fields))}")
        _set(message, fields[name], value, f"{where}.{name}")
    return message


def enum_word(kind: EnumDescriptor, number: int) -> str:
    """ISSUE_DAC for OPERATION_ISSUE_DAC; the bare number where this version has no word for it."""
    value = kind.values_by_number.get(number)
    return value.name.removeprefix(_prefix(kind)) if value else str(number)


def when(seconds: int) -> str:
    """Unix seconds as a person reads them, UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s after 1970"


def _scalar(field: Field, value: object) -> Plain:
    if isinstance(value, Message):
        return to_plain(value)
    if isinstance(value, bytes):
        return value.hex()
    if field.enum_type and isinstance(value, int):
        return enum_word(field.enum_type, value)
    if isinstance(value, str | int | float):
        return value
    raise TypeError(f"{field.full_name} holds a {type(value).__name__}")


def _for_people(field: Field, value: object) -> str:
    if isinstance(value, int) and field.name.endswith("_at"):
        return when(value)
    if isinstance(value, int) and field.name in {"vendor_id", "product_code"}:
        return f"{value:04X} ({value})"
    if isinstance(value, str):
        return value if value.isprintable() else ascii(value)
    return str(_scalar(field, value))


def _set(message: Message, field: Field, value: object, where: str) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise Usage(f"{where} is a list")
        values = [_parsed(field, each, f"{where}[{number}]") for number, each in enumerate(value)]
        getattr(message, field.name).extend(values)
    elif field.message_type:
        getattr(message, field.name).CopyFrom(_parsed(field, value, where))
    else:
        try:
            setattr(message, field.name, _parsed(field, value, where))
        except (TypeError, ValueError) as error:
            raise Usage(f"{where}: {error}") from error


def _parsed(field: Field, value: object, where: str) -> object:
    if field.message_type:
        if not isinstance(value, Mapping):
            raise Usage(f"{where} is a table")
        return from_plain(GetMessageClass(field.message_type), value, where)
    if field.enum_type:
        return _enum_number(field.enum_type, value, where)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _octets(value, where)
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return value


def _octets(value: object, where: str) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return bytes.fromhex(value if isinstance(value, str) else "?")
    except ValueError:
        raise Usage(f"{where} is hex digits, two a byte") from None


def _enum_number(kind: EnumDescriptor, value: object, where: str) -> int:
    named = kind.values_by_name.get(f"{_prefix(kind)}{value}")
    if named is None:
        known = ", ".join(each.name.removeprefix(_prefix(kind)) for each in kind.values if each.number)
        raise Usage(f"{where}: {value!r} is not one of {known}")
    return named.number


def _prefix(kind: EnumDescriptor) -> str:
    return kind.values[0].name.removesuffix("UNSPECIFIED")
