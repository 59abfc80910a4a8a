"""Domain instructions compiled into wire transactions, by solders (which parses nothing here)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta
from solders.instruction import Instruction as SoldersInstruction
from solders.message import Message, MessageV0, MessageV1, TransactionConfig, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from gateway.domain.addresses import ADDRESS_BYTES
from gateway.domain.instructions import Instruction
from gateway.domain.lookup_tables import NO_TABLES, TABLES_MAX, LookupTable, LookupTables
from gateway.domain.packing import TransactionVersion
from gateway.domain.ports import ComputeBudget
from gateway.domain.token_programs import ASSOCIATED_TOKEN

_ASSOCIATED_TOKEN: Final = Pubkey.from_string(ASSOCIATED_TOKEN)
_BUMP_FIRST: Final = 255


class SoldersTransactions:
    """gateway.domain.ports.TransactionCompiler."""

    def compile(
        self,
        version: TransactionVersion,
        payer: str,
        instructions: Sequence[Instruction],
        blockhash: str,
        budget: ComputeBudget,
        lookup_tables: LookupTables = NO_TABLES,
    ) -> bytes:
        """Returns an unsigned wire transaction: every signature slot is there and zero.

        `budget` goes into a v1 transaction's configuration; others have it as instructions. A v0
        transaction uses those of the tables that `LookupTables.used_by` says, others use none.
        """
        payer_key = Pubkey.from_string(payer)
        compiled = [_instruction(item) for item in instructions]
        recent = Hash.from_string(blockhash)
        message: Message | MessageV0 | MessageV1
        if version is TransactionVersion.V1:
            config = TransactionConfig(
                priority_fee=budget.priority_fee_lamports,
                compute_unit_limit=budget.compute_unit_limit,
                loaded_accounts_data_size_limit=budget.loaded_data_bytes_max,
            )
            message = MessageV1.try_compile(payer_key, compiled, recent, config)
        elif version is TransactionVersion.V0:
            used = [_table(table) for table in lookup_tables.used_by(payer, instructions)]
            message = MessageV0.try_compile(payer_key, compiled, used, recent)
        else:
            message = Message.new_with_blockhash(compiled, payer_key, recent)
        slots = [Signature.default()] * message.header.num_required_signatures
        return bytes(VersionedTransaction.populate(message, slots))

    def accounts_of(self, wire: bytes, lookup_tables: LookupTables = NO_TABLES) -> list[str]:
        """Returns the accounts of wire bytes that `compile` made, in the order of the runtime.

        That is: those the message names, those looked up to be written, those looked up to be read.
        """
        message = VersionedTransaction.from_bytes(wire).message
        accounts = [str(key) for key in message.account_keys]
        if not isinstance(message, MessageV0):
            return accounts
        entries = {table.address: table.entries for table in lookup_tables.tables}
        lookups = [
            (entries[str(found.account_key)], found) for found in message.address_table_lookups
        ]
        accounts += [held[at] for held, found in lookups for at in found.writable_indexes]
        return accounts + [held[at] for held, found in lookups for at in found.readonly_indexes]

    def associated_token_address(self, owner: str, token_program: str, mint: str) -> str:
        """Returns the address of the token account that is derived for `owner`."""
        return self.derive_token_account(owner, token_program, mint)[0]

    def derive_token_account(self, owner: str, token_program: str, mint: str) -> tuple[str, int]:
        """Returns that address, and how many bumps from 255 down gave none."""
        seeds = [bytes(Pubkey.from_string(part)) for part in (owner, token_program, mint)]
        address, bump = Pubkey.find_program_address(seeds, _ASSOCIATED_TOKEN)
        return str(address), _BUMP_FIRST - bump

    def fee_probe(self, payer: str, blockhash: str) -> bytes:
        """Returns the message of a legacy transaction with one signature and no priority fee.

        What the cluster says it costs is what it charges for a signature.
        """
        message = Message.new_with_blockhash(
            [], Pubkey.from_string(payer), Hash.from_string(blockhash)
        )
        return to_bytes_versioned(message)


@lru_cache(maxsize=2 * TABLES_MAX)
def _table(table: LookupTable) -> AddressLookupTableAccount:
    entries = [
        Pubkey.from_bytes(table.content[at : at + ADDRESS_BYTES])
        for at in range(0, len(table.content), ADDRESS_BYTES)
    ]
    return AddressLookupTableAccount(Pubkey.from_string(table.address), entries)


def _instruction(item: Instruction) -> SoldersInstruction:
    return SoldersInstruction(
        Pubkey.from_string(item.program),
        item.data,
        [
            AccountMeta(Pubkey.from_string(use.address), use.is_signer, use.is_writable)
            for use in item.accounts
        ],
    )
