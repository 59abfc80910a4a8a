"""`solward admin` and `solward doctor`: the operator's commands, over the signer's own sockets."""

import sys

from solward_client.cli import rotation, vault
from solward_client.cli.commands import Group
from solward_client.cli.context import Context, write_private
from solward_client.cli.inputs import UsageError, refuse_shared_stdin, secret
from solward_client.cli.plain import plain
from solward_client.records import Records

MEASURE_COLUMNS = ("name", "in_force", "detail")


def add(root: Group) -> None:
    """Add the commands."""
    group = root.group("admin", "the signer's operator")
    group.command("status", _status, "show what is in force and how much was done")
    group.command("signer-key", _signer_key, "show the sealing key that clients should pin")
    generate = group.command("generate-mnemonic", _generate, "make a mnemonic; nothing is stored")
    generate.add_argument("--bits", type=int, choices=(128, 256), default=256, help="default 256")
    generate.add_argument("--out", metavar="FILE", help="a new file; default: the terminal")
    validate = group.command("validate-mnemonic", _validate, "check a mnemonic; prints no word")
    validate.add_argument("--mnemonic-file", metavar="FILE", help="- for stdin; default: ask")
    imported = group.command("import-master", _import, "seal a mnemonic made elsewhere")
    imported.add_argument("--mnemonic-file", metavar="FILE", help="- for stdin; default: ask")
    imported.add_argument("--passphrase-file", metavar="FILE", help="its BIP39 passphrase")
    vault.records_out(imported, required=False)
    vault.add(group)
    rotation.add(group)
    reload = group.command("reload-policy", _reload, "read the policy file again")
    reload.add_argument("--shadow", action="store_true", help="the shadow policy, which only logs")
    freeze = group.command("freeze", _freeze, "stop signing for a wallet, a policy group or all")
    unfreeze = group.command("unfreeze", _unfreeze, "end a freeze")
    for command in (freeze, unfreeze):
        what = command.add_mutually_exclusive_group(required=True)
        what.add_argument("--address", default="", metavar="ADDRESS", help="one wallet")
        what.add_argument("--group", default="", metavar="NAME", help="one group of the policy")
        what.add_argument("--all", action="store_true", help="everything")
    group.command("revoke-sessions", _revoke, "wipe the keys of every session")
    root.command(
        "doctor", _doctor, "show which hardening measures are in force, and the key to pin"
    )


def _status(context: Context) -> int:
    with context.admin() as admin:
        context.output.record(admin.status(), hide=() if context.output.as_json else ("measures",))
    return 0


def _signer_key(context: Context) -> int:
    with context.admin() as admin:
        context.output.values({"signer_key": admin.signer_key().box_public_key.hex()})
    return 0


def _generate(context: Context) -> int:
    options = context.options
    if options.out is None and (context.output.as_json or not sys.stdout.isatty()):
        raise UsageError("a mnemonic goes to a terminal or to --out FILE")
    with context.admin() as admin:
        mnemonic = admin.generate_mnemonic(options.bits)
    if options.out is None:
        context.output.line(mnemonic)
        return 0
    write_private(options.out, mnemonic + "\n")
    context.output.values({"mnemonic": options.out, "words": len(mnemonic.split())})
    return 0


def _validate(context: Context) -> int:
    mnemonic = secret(context.options.mnemonic_file, "Mnemonic")
    with context.admin() as admin:
        answer = admin.validate_mnemonic(mnemonic)
    context.output.record(answer)
    return 0 if answer.valid else 1


def _import(context: Context) -> int:
    options = context.options
    refuse_shared_stdin(options.password_file, options.mnemonic_file, options.passphrase_file)
    mnemonic = secret(options.mnemonic_file, "Mnemonic")
    passphrase = secret(options.passphrase_file, "") if options.passphrase_file else ""
    with context.admin() as admin:
        answer = admin.import_master(
            mnemonic, context.password(confirm=True), passphrase=passphrase
        )
    if options.records_out is not None:
        vault.write_records(options.records_out, Records([answer.master]), answer.key_group)
    context.output.record(answer)
    return 0


def _reload(context: Context) -> int:
    with context.admin() as admin:
        context.output.record(admin.reload_policy(shadow=context.options.shadow))
    return 0


def _freeze(context: Context) -> int:
    with context.admin() as admin:
        admin.freeze(address=context.options.address, group=context.options.group)
        context.output.values({"frozen": list(admin.status().freezes)})
    return 0


def _unfreeze(context: Context) -> int:
    with context.admin() as admin:
        admin.unfreeze(address=context.options.address, group=context.options.group)
        context.output.values({"frozen": list(admin.status().freezes)})
    return 0


def _revoke(context: Context) -> int:
    with context.admin() as admin:
        context.output.values({"revoked_count": admin.revoke_sessions()})
    return 0


def _doctor(context: Context) -> int:
    output = context.output
    with context.admin() as admin:
        status, key = admin.status(), admin.signer_key().box_public_key.hex()
    if output.as_json:
        measures = [plain(measure) for measure in status.measures]
        output.values(
            {"signer_key": key, "insecure_dev": status.insecure_dev, "measures": measures}
        )
    else:
        output.table(status.measures, MEASURE_COLUMNS)
        output.note(f"signer key to pin: {key}")
    if status.insecure_dev:
        output.note("started with measures left out for development")
    return 0 if all(measure.in_force for measure in status.measures) else 1
