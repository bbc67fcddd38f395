"""Every event survives the disk, and what cannot be read is skipped."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest

from unlearn_core import events
from unlearn_core.events import Event, Finished, Measured, Notice, decode, encode

KINDS = typing.get_args(Event)
_SAMPLES = {"str": "é<b>\n", "int": 3, "float": 0.25, "float | None": None, "str | None": "text", "bool": True,
            "bool | None": None, "Stage": "before", "list[str]": ["a", "b"], "list[float]": [0.5, -1.0],
            "list[int]": [1], "list[dict[str, Any]]": [{"a": "b"}],
            "dict[str, int]": {"forget": 2}, "dict[str, Any]": {"a": {"b": [1, None]}},
            "list[list[list[Any]]]": [[["tok", 0.5]]]}


def sample(kind: type) -> Event:
    """An event with a value of the right type in every field."""
    return kind(**{field.name: _SAMPLES[field.type] for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was_written(kind: type) -> None:
    line = encode(sample(kind), 1.23456)
    assert "\n" not in line and decode(line) == (sample(kind), 1.235)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_frozen_and_plain(kind: type) -> None:
    event = sample(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(kind)[0].name, None)
    json.dumps(dataclasses.asdict(event), allow_nan=False)
    assert not {field.name for field in dataclasses.fields(kind)} & {"event", "at"}  # the two keys of a line


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "null", '{"at": 1}', '{"event": "Unknown", "at": 1}',
                                  '{"event": "Notice"}', '{"event": "Notice", "text": "a", "at": "soon"}',
                                  '{"event": []}'])
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert decode(line) is None


def test_a_field_of_a_later_version_is_left_out() -> None:
    assert decode('{"event": "Notice", "at": 1, "text": "a", "colour": "red"}') == (Notice("a"), 1.0)


def test_numbers_that_json_cannot_say_become_null() -> None:
    event, _ = decode(encode(Finished("done", float("inf"), {"a": [float("nan"), (1.0,)]}), 0.0))
    assert event == Finished("done", None, {"a": [None, [1.0]]})
    assert decode(encode(Measured("after", 0, "forget", float("nan"), 0, 0, 0.0, 1.0), 0.0))[0].accuracy is None


def test_the_terminal_kinds_are_the_two_ends() -> None:
    assert set(events.TERMINAL) == {events.Finished, events.Failed}
