"""Values to keep, as JSON-plain data and a flat table of tensors. Pure; knows no file and imports no torch."""

from __future__ import annotations

from typing import Any


def pack(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(plain data, tensors by number) of values that are JSON-plain, tensors, or dicts of tensors.

    A tensor that appears several times is stored once, and is one tensor again after `unpack`.
    """
    tensors: dict[str, Any] = {}
    numbers: dict[int, str] = {}

    def number(tensor: Any) -> str:
        if id(tensor) not in numbers:
            numbers[id(tensor)] = str(len(tensors))
            tensors[numbers[id(tensor)]] = tensor
        return numbers[id(tensor)]

    plain: dict[str, Any] = {"values": {}, "tensors": {}, "tables": {}}
    for name, value in values.items():
        if _is_tensor(value):
            plain["tensors"][name] = number(value)
        elif isinstance(value, dict) and value and all(_is_tensor(item) for item in value.values()):
            plain["tables"][name] = {key: number(item) for key, item in value.items()}
        else:
            plain["values"][name] = value
    return plain, tensors


def unpack(plain: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """What `pack` was given; an entry whose tensors are not there is left out. Raises KeyError for foreign data."""
    found = dict(plain["values"])
    found |= {name: tensors[number] for name, number in plain["tensors"].items() if number in tensors}
    for name, table in plain["tables"].items():
        if all(number in tensors for number in table.values()):
            found[name] = {key: tensors[number] for key, number in table.items()}
    return found


def size(tensors: dict[str, Any]) -> int:
    """Bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "element_size")
