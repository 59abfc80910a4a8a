"""The editors' schema and the signer's loader agree about the language."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.policy import PolicyError, parse_policy
from signer_daemon.policy.loader import _DOCUMENT_KEYS, _GROUP_KEYS, _GROUP_REQUIRED
from tests.intent.examples import examples
from tests.policy import schema
from tests.policy import test_loader as loader

WRITTEN = json.loads(schema.SCHEMA.read_text())
VALIDATE: Callable[[Any], Any] = fastjsonschema.compile(WRITTEN)
FULL = loader.FULL.replace("{sha}", loader.SHA)
(MISTAKES,) = (
    mark.args[1] for mark in vars(loader.test_errors_are_fatal_and_name_the_key)["pytestmark"]
)
# What no schema of single keys can know: sums, other keys, programs by address, what TOML is.
LOADER_ONLY = (
    "index_first is above",
    "token is not among",
    "a program that the signer decodes",
    "not TOML",
)


def loads(text: str) -> bool:
    """Whether the signer accepts a file."""
    try:
        parse_policy(text.encode())
    except PolicyError:
        return False
    return True


def fits(text: str) -> bool:
    """Whether an editor does. (JSON has no 5.0 apart from 5: TOML editors do.)"""
    try:
        VALIDATE(tomllib.loads(text))
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def test_the_file_is_what_the_loader_and_the_documentation_make() -> None:
    """docs/policy.schema.json is up to date; if not: `python -m tests.policy.schema`."""
    assert schema.schema() == WRITTEN


def test_every_key_of_the_loader_is_in_the_schema_and_no_other() -> None:
    """Keys and required keys are the same on both levels, and each is described."""
    document, group = WRITTEN, WRITTEN["properties"]["group"]["items"]
    assert set(_DOCUMENT_KEYS) == set(document["properties"])
    assert set(_GROUP_KEYS) == set(group["properties"])
    assert {"version", "group"} == set(document["required"])
    assert _GROUP_REQUIRED == set(group["required"])
    for properties in (document["properties"], group["properties"]):
        assert all(len(each["description"]) > 10 for each in properties.values())


def test_accepted_policies_fit() -> None:
    """The smallest policy, the one with every key, and the documented example."""
    example = (schema.DOCS / "policy.md").read_text().split("```toml\n")[1].split("```")[0]
    for text in (loader.MINIMAL, FULL, example):
        assert (True, True) == (loads(text), fits(text))


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_mistakes_do_not_fit(old: str, new: str, message: str) -> None:
    """Every mistake that the loader's tests know is one to the editor too, but for those that
    take more than one key to see.
    """
    text = loader.MINIMAL.replace(old, new) if old else "version = 3"
    assert not loads(text)
    if new != "= 5.0" and not any(reason in message for reason in LOADER_ONLY):
        assert not fits(text)


@examples(300)
@given(st.data())
def test_what_the_loader_accepts_the_schema_accepts(data: st.DataObject) -> None:
    """The schema is never stricter: with lines left out, doubled, swapped or numbers changed, what
    the signer would start with shows no error in an editor.
    """
    lines = FULL.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "swap", "number", "empty"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "number":
                number = data.draw(st.sampled_from([0, 1, 100, 2**31 - 1, 2**63 - 1, 2**64 - 1]))
                lines[at] = f"{lines[at].partition('=')[0]}= {number}"
            case _:
                lines[at] = f"{lines[at].partition('=')[0]}= []"
    text = "\n".join(lines)
    if loads(text):
        assert fits(text)
