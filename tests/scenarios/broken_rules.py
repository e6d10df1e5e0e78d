"""Requests that break exactly one documented rule each, made from the rules in the contract's descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from buf.validate import validate_pb2

_MESSAGE = FieldDescriptor.TYPE_MESSAGE


def breaches(request: type[Message]) -> Iterator[tuple[str, Message]]:
    """(field, a request whose field breaks its rule). Other rules may be broken too: fields that are missing."""
    for field in request.DESCRIPTOR.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        for value in _bad_values(field, rules):
            yield field.name, _with(request, field, value)
    for oneof in request.DESCRIPTOR.oneofs:
        if oneof.GetOptions().Extensions[validate_pb2.oneof].required:
            yield oneof.name, request()


def _bad_values(field: FieldDescriptor, rules: validate_pb2.FieldRules) -> Iterator[Any]:
    if rules.required and field.type == _MESSAGE:
        yield None
    kind = rules.WhichOneof("type") or ""
    if kind in _BREAKERS:
        yield from _BREAKERS[kind](field, getattr(rules, kind))


def _bytes(field: FieldDescriptor, said: Any) -> Iterator[bytes]:
    yield from (b"x" * (limit + 1) for limit in (said.len, said.max_len) if limit)
    if said.len or said.min_len:
        yield b""


def _string(field: FieldDescriptor, said: Any) -> Iterator[str]:
    yield from ("x" * (limit + 1) for limit in [said.max_len] if limit)
    if said.pattern:
        yield "no such Id\n"
    if said.min_len:
        yield ""


def _repeated(field: FieldDescriptor, said: Any) -> Iterator[list[Any]]:
    if said.min_items:
        yield []
    if said.max_items and field.type == _MESSAGE:
        yield [GetMessageClass(field.message_type)()] * (said.max_items + 1)


def _number(field: FieldDescriptor, said: Any) -> Iterator[int]:
    yield from (limit + 1 for limit in [said.lte] if limit)
    if said.gte or said.HasField("gt"):
        yield 0


def _enum(field: FieldDescriptor, said: Any) -> Iterator[int]:
    yield from said.not_in


_BREAKERS = {
    "bytes": _bytes,
    "string": _string,
    "repeated": _repeated,
    "uint32": _number,
    "uint64": _number,
    "int64": _number,
    "enum": _enum,
}


def _with(request: type[Message], field: FieldDescriptor, value: Any) -> Message:
    made = request()
    if value is None or value == []:
        return made
    if isinstance(value, list):
        getattr(made, field.name).extend(value)
    else:
        setattr(made, field.name, value)
    return made
