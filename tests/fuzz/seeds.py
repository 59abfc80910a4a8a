"""Writes the corpus' seeds: `python -m tests.fuzz.seeds`. Inputs named otherwise were found."""

from pathlib import Path

from solders.keypair import Keypair

from signer_daemon.vault.derivation import IMPORTED, Identity
from signer_daemon.vault.envelope import binding
from signer_daemon.vault.records import PLAINTEXT_BYTES, Kind, Sealer
from tests.fuzz import files, secrets
from tests.fuzz.targets import CORPUS
from tests.intent import system_actions, token_actions
from tests.intent import world as w
from tests.vault.samples import view

POLICY = Path(__file__).parents[2] / "docs" / "policy.md"


def transactions() -> dict[str, bytes]:
    """One of each action in legacy, every third in v0, every third in v1, and one with a table."""
    seeds, world = {}, w.World()
    for place, action in enumerate(
        dict.fromkeys([*system_actions.ACTIONS, *token_actions.ACTIONS])
    ):
        signers: list[Keypair] = []
        ixs = [action(world, signers, pick, 7 * w.SOL) for pick in (place, place + 9)]
        version = place % 3 - 1
        seeds[f"{action.__name__}.{version}"] = w.wire(
            ixs, world.wallet, signers, version=version, priority_fee=5
        )
    keys = bytes(world.wallet.pubkey()) + bytes(w.SYSTEM)
    table = bytes(w.key(90).pubkey())
    instruction = b"\x01\x02\0\x02\x0c" + b"\x02\0\0\0" + (7).to_bytes(8, "little")
    message = b"\x80\1\0\1\2" + keys + bytes(32) + instruction + b"\1" + table + b"\1\5\1\6"
    seeds["lookup_table"] = b"\1" + bytes(64) + message.replace(b"\x01\x02\0\x02", b"\1\1\2\0\2")
    return seeds


def records() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Records of both kinds that open, and the plaintexts of both."""
    seed = bytes(range(32))
    words = b"abandon " * 11 + b"about"
    plain = len(words).to_bytes(2, "big") + words + b"\0\0"
    master = view(plain.ljust(PLAINTEXT_BYTES[Kind.MNEMONIC], b"\0"))
    identity = Identity("", secrets.FINGERPRINT, IMPORTED)
    texts = {
        "wallet": Sealer(secrets.KEYS, Kind.WALLET).seal(view(seed), secrets.WALLET).encode(),
        "mnemonic": Sealer(secrets.KEYS, Kind.MNEMONIC).seal(master, identity).encode(),
    }
    texts["truncated"] = texts["wallet"][:-1]
    texts["not_ascii"] = texts["wallet"].replace(b"$14", "$١٤".encode())
    long = {"length_beyond_the_end": b"\0\xff\xff", "second_length": b"\0\0\0\xff\xff"}
    return texts, {"wallet": b"\x80" + seed, "mnemonic": b"\0" + plain, **long}


def envelopes() -> dict[str, bytes]:
    """Each way that the target makes a sealed secret."""
    inside = b"n" * 16 + (secrets.NOW + 60).to_bytes(8, "big")
    bound = binding(secrets.BOOT, *secrets.REQUEST)
    return {
        "sealed_in_full": b"\0" + secrets.BOX.encrypt(inside + bound + b"a password"),
        "short": b"\0" + bytes(48),
        "inside": b"\x40" + inside + bound + b"a password",
        "times": b"\x80" + inside + b"a password",
        "never_expires": b"\x80" + b"n" * 16 + b"\xff" * 8 + b"a password",
        "secret": b"\xc0" + b"n" * 16 + b"a password",
        "secret_too_long": b"\xc0" + b"n" * 16 + bytes(1025),
    }


def policies() -> dict[str, bytes]:
    """The documented example, and files that must not be accepted."""
    example = POLICY.read_text().split("```toml\n")[1].split("```")[0]
    return {
        "documented": example.encode(),
        "no_group": b"version = 1\n",
        "deep": b"version = " + b"[" * 1500,
        "long_number": b"version = " + b"9" * 4400,
        "not_utf8": b'version = 1\nname = "\xff"\n',
        "date": example.replace("version = 7", "version = 2026-01-01").encode(),
        "bool": example.replace("version = 7", "version = true").encode(),
        "float": example.replace("= 1_000_000", "= nan").encode(),
        "nested_list": example.replace('"vault"', '[["vault"]]').encode(),
    }


def audit_logs() -> dict[str, bytes]:
    """The true log untouched, edited, cut, and bytes that never were one."""
    opening = b'{"event":"open_segment","seq":0,"time_ms":1%s}\t' + b"0" * 64 + b"\n"
    first = files.TRUE_LOG.index(b'"count"')
    return {
        "untouched": b"\xff",
        "opening_without_previous": b"\0" + opening % b"",
        "opening_after_a_list": b"\0" + opening % b',"previous":[1]',
        "opening_after_no_mac": b"\0" + opening % b',"previous":{"count":1,"mac":"\\ud800"}',
        "opening_at_infinity": b"\0" + opening % b',"previous":{"count":Infinity,"mac":"0"}',
        "opening_nested": b"\0" + b"[" * 4000,
        "opening_undated": b"\0" + (opening % b"").replace(b"1", b'"x"'),
        "opening_count_renamed": b"\xff\0" + (first + 2).to_bytes(2, "big") + b"x",
        "altered": b"\xff\0\0\x05x",
        "inserted": b"\xff\x70\0\x05x",
        "cut": b"\xff\xb0\x02\x40\xff",
        "line_twice": b"\xff\xf0\0\2\0",
        "own_file": b"\0" + files.TRUE_LOG,
        "own_head": b"\x40" + files.TRUE_HEAD,
        "head_cut": b"\x40" + files.TRUE_HEAD[:50],
        "no_head": b"\x40",
        "newlines": b"\0\n\n\n",
    }


def main() -> None:
    """Write every seed into its directory."""
    texts, plains = records()
    for target, seeds in {
        "transaction": transactions(),
        "record": texts,
        "record_plaintext": plains,
        "envelope": envelopes(),
        "policy": policies(),
        "audit_log": audit_logs(),
    }.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (CORPUS / target / f"seed-{name}").write_bytes(seed)


if __name__ == "__main__":
    main()
