"""The policy language: what it says is what it means, and what it does not know is fatal."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer_daemon.intent import programs
from signer_daemon.intent.instructions import ROLES
from signer_daemon.policy import Group, PolicyError, load, parse_policy
from signer_daemon.policy.loader import _DOCUMENT_KEYS, _GROUP_KEYS
from tests.intent.examples import examples

MINIMAL = """
version = 3
[[group]]
name = "desk"
master_fingerprints = ["*"]
programs = ["system"]
lamports_per_transaction_max = 5
destinations = "vault"
"""
FULL = """
version = 4
ata_rent_lamports_max = 2_000_000

[lookup_table]
"So11111111111111111111111111111111111111112" = "{sha}"

[[group]]
name = "desk"
master_fingerprints = ["00112233445566778899aabbccddeeff", "imported"]
index_first = 10
index_last = 19
signatures_per_minute = 7
programs = ["system", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"]
instructions_allow = ["system/advanceNonce"]
instructions_deny = ["system/createAccount"]
lamports_per_transaction_max = 1
lamports_per_day_max = 2
group_lamports_per_day_max = 3
priority_fee_lamports_max = 4
destinations = ["So11111111111111111111111111111111111111112"]
destinations_deny = ["TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"]
close_refunds = "destinations"
message_signing = "off-chain"
[group.tokens_per_transaction_max]
"So11111111111111111111111111111111111111112" = 5
"*" = "unlimited"
[group.tokens_per_day_max]
"*" = 6
[group.group_tokens_per_day_max]
"*" = 7
[group.trusted_programs]
"JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4" = 8
"""
SHA = "ab" * 32


def test_minimal_policy_takes_the_careful_defaults() -> None:
    """What is not said is off, denied, or the documented default."""
    policy = parse_policy(MINIMAL.encode())
    (group,) = policy.groups
    assert policy.version == 3
    assert policy.digest == hashlib.sha256(MINIMAL.encode()).hexdigest()
    assert (policy.lookup_tables, policy.ata_rent_lamports_max) == ({}, 2_282_880)
    assert group == Group(
        name="desk",
        master_fingerprints=frozenset({"*"}),
        programs=frozenset({programs.SYSTEM}),
        lamports_per_transaction_max=5,
        destinations="vault",
        signatures_per_minute=100,
        close_refunds="self",
        message_signing="off",
    )


def test_full_policy_is_read_key_by_key() -> None:
    """Every key of the language lands where it belongs."""
    policy = parse_policy(FULL.replace("{sha}", SHA).encode())
    (group,) = policy.groups
    assert policy.lookup_tables == {programs.NATIVE_MINT: SHA}
    assert policy.ata_rent_lamports_max == 2_000_000
    assert group == Group(
        name="desk",
        master_fingerprints=frozenset({"00112233445566778899aabbccddeeff", "imported"}),
        index_first=10,
        index_last=19,
        signatures_per_minute=7,
        programs=frozenset({programs.SYSTEM, programs.TOKEN}),
        instructions_allow=frozenset({"system/advanceNonce"}),
        instructions_deny=frozenset({"system/createAccount"}),
        lamports_per_transaction_max=1,
        lamports_per_day_max=2,
        group_lamports_per_day_max=3,
        priority_fee_lamports_max=4,
        destinations=frozenset({programs.NATIVE_MINT}),
        destinations_deny=frozenset({programs.TOKEN}),
        close_refunds="destinations",
        message_signing="off-chain",
        tokens_per_transaction_max={programs.NATIVE_MINT: 5, "*": 2**64 - 1},
        tokens_per_day_max={"*": 6},
        group_tokens_per_day_max={"*": 7},
        trusted_programs={"JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4": 8},
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", "policy: the key 'group' is missing"),
        ("version = 3", "", "policy: the key 'version' is missing"),
        ("version = 3", "version = 0", "policy: version: a whole number"),
        ("version = 3", "version = true", "policy: version: a whole number"),
        ("version = 3", "version = 3\nlenient = true", "policy: unknown key 'lenient'"),
        ('name = "desk"', "", "group: number 1: the key 'name' is missing"),
        ('name = "desk"', 'name = "Desk 1"', "name: a name of"),
        ('destinations = "vault"', "", "the key 'destinations' is missing"),
        ('destinations = "vault"', 'destination = "vault"', "unknown key 'destination'"),
        ('destinations = "vault"', 'destinations = "all"', "destinations: one of vault, any"),
        ('destinations = "vault"', "destinations = []", "destinations: a list is expected, not"),
        ('destinations = "vault"', 'destinations = ["x"]', "destinations: a base58 address"),
        ("lamports_per_transaction_max = 5", "", "'lamports_per_transaction_max' is missing"),
        ("= 5", "= -1", "lamports_per_transaction_max: a whole number"),
        ("= 5", "= 5.0", "lamports_per_transaction_max: a whole number"),
        ("= 5", '= "5"', "lamports_per_transaction_max: a whole number"),
        ("= 5", "= 18446744073709551616", "lamports_per_transaction_max: a whole number"),
        ('["*"]', "[]", "master_fingerprints: a list is expected, not an empty one"),
        ('["*"]', '["*", "*"]', "master_fingerprints: an entry is listed twice"),
        ('["*"]', '["0011"]', "master_fingerprints: "),
        ('["*"]', '["*"]\nindex_first = 5\nindex_last = 4', "index_first is above index_last"),
        ('["*"]', '["*"]\nindex_last = 2147483648', "index_last: a whole number"),
        ('["system"]', '["stake"]', "programs: one of system, token"),
        ('["system"]', "[1]", "programs: one of system"),
        ('["system"]', '"system"', "programs: a list is expected"),
        ('["system"]', '["system"]\ninstructions_allow = ["system/pay"]', "instructions_allow: a"),
        ('["system"]', '["system"]\ninstructions_allow = ["token/approve"]', "token is not among"),
        ('["system"]', '["system"]\nmessage_signing = "on"', "message_signing: one of"),
        ('["system"]', '["system"]\nmessage_signing = true', "message_signing: one of"),
        ('["system"]', '["system"]\ntrusted_programs = {"x" = 1}', "trusted_programs: a base58"),
        (
            '["system"]',
            '["system"]\ntrusted_programs = {"11111111111111111111111111111111" = 1}',
            "trusted_programs: a program that the signer decodes",
        ),
        ('["system"]', '["system"]\ntokens_per_day_max = {"*" = "lots"}', "tokens_per_day_max: a"),
        ("[[group]]", "[group]", "group: at least one"),
        ("version = 3", "version = 3\nversion = 4", "not TOML"),
        ("version = 3", "version = 3\nlookup_table = 5", "lookup_table: a table is expected"),
        ("version = 3", 'version = 3\nlookup_table = {"x" = "y"}', "lookup_table: a base58"),
    ],
)  # fmt: skip
def test_errors_are_fatal_and_name_the_key(old: str, new: str, message: str) -> None:
    """Each mistake stops the load, and the text says which key to look at."""
    text = MINIMAL.replace(old, new) if old else "version = 3"
    assert text != MINIMAL
    with pytest.raises(PolicyError) as raised:
        parse_policy(text.encode())
    assert message in str(raised.value)


def test_duplicate_group_names_are_fatal() -> None:
    """Caps are counted by group name, so a name has one meaning."""
    second = MINIMAL[MINIMAL.index("[[group]]") :]
    with pytest.raises(PolicyError, match="one name"):
        parse_policy((MINIMAL + second).encode())


def test_missing_file_is_no_policy(tmp_path: Path) -> None:
    """No file, no start: an absent policy never means allow."""
    with pytest.raises(PolicyError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(PolicyError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "empty.toml").write_bytes(b"")
    with pytest.raises(PolicyError, match="missing"):
        load(tmp_path / "empty.toml")


def test_huge_file_is_refused(tmp_path: Path) -> None:
    """A policy has an upper size: 1 MiB."""
    (tmp_path / "big.toml").write_bytes(MINIMAL.encode() + b"#" * (1 << 20))
    with pytest.raises(PolicyError, match="longer"):
        load(tmp_path / "big.toml")


def test_first_matching_group_decides() -> None:
    """Groups are tried in order by fingerprint and index; "*" is any master, never an import."""
    fingerprint = "00112233445566778899aabbccddeeff"
    group = MINIMAL[MINIMAL.index("[[group]]") :]
    first = group.replace("desk", "hot").replace('["*"]', f'["{fingerprint}"]\nindex_last = 4')
    third = group.replace("desk", "old").replace('["*"]', '["imported"]')
    policy = parse_policy(("version = 1\n" + first + group + third).encode())

    def name(fingerprint: str, index: int) -> str | None:
        found = policy.group_of(fingerprint, index)
        return None if found is None else found.name

    assert name(fingerprint, 4) == "hot"
    assert name(fingerprint, 5) == "desk"
    assert name("f" * 32, 0) == "desk"
    assert name("", -1) == "old"
    assert parse_policy(("version = 1\n" + first).encode()).group_of("f" * 32, 0) is None
    assert parse_policy(MINIMAL.encode()).group_of("", -1) is None


def test_development_policy_loads_and_stays_in_the_vault() -> None:
    """The policy that `solward up` uses is valid and lets money go to vault wallets only."""
    policy = load(Path(__file__).parents[2] / "deploy" / "policy.dev.toml")
    assert {group.destinations for group in policy.groups} == {"vault"}
    assert policy.group_of("0" * 32, 9_999) is not None
    assert policy.group_of("", -1) is not None


@examples(300)
@given(st.data())
def test_mutated_policies_load_or_raise_policy_error(data: st.DataObject) -> None:
    """A policy with any bytes changed either loads, with every group complete, or raises
    PolicyError: never another error, never a group without rules.
    """
    content = bytearray(FULL.replace("{sha}", SHA).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        policy = parse_policy(bytes(content))
    except PolicyError:
        return
    assert all(group.master_fingerprints and group.destinations for group in policy.groups)


@examples(200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_random_bytes_are_never_a_policy(content: bytes) -> None:
    """No bytes crash the loader, and no accident is a policy."""
    with pytest.raises(PolicyError):
        parse_policy(content)


def test_documentation_lists_every_key_and_role() -> None:
    """docs/policy.md names each key of the language and each role, sensitive or plain, in the right
    table; and its own examples load.
    """
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    for key in [*_GROUP_KEYS, *_DOCUMENT_KEYS]:
        assert f"{key}`" in text or f"{key}]" in text, key
    plain, _, sensitive = text.partition("Sensitive roles give authority away")
    for role, is_sensitive in ROLES.items():
        assert f"`{role.partition('/')[2]}`" in (sensitive if is_sensitive else plain), role
    example = text.partition("```toml")[2].partition("```")[0]
    assert [group.name for group in parse_policy(example.encode()).groups] == ["desk", "vault"]
