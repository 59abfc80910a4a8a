"""Domain instructions compiled into wire transactions, by solders (which parses nothing here)."""

from collections.abc import Sequence
from typing import Final

from solders.hash import Hash
from solders.instruction import AccountMeta
from solders.instruction import Instruction as SoldersInstruction
from solders.message import Message, MessageV1, TransactionConfig, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from gateway.domain.instructions import Instruction
from gateway.domain.packing import TransactionVersion
from gateway.domain.ports import ComputeBudget
from gateway.domain.token_programs import ASSOCIATED_TOKEN

_ASSOCIATED_TOKEN: Final = Pubkey.from_string(ASSOCIATED_TOKEN)


class SoldersTransactions:
    """gateway.domain.ports.TransactionCompiler."""

    def compile(
        self,
        version: TransactionVersion,
        payer: str,
        instructions: Sequence[Instruction],
        blockhash: str,
        budget: ComputeBudget,
    ) -> bytes:
        """Returns an unsigned wire transaction: every signature slot is there and zero.

        `budget` goes into a v1 transaction's configuration; a legacy one has it as instructions.
        """
        payer_key = Pubkey.from_string(payer)
        compiled = [_instruction(item) for item in instructions]
        recent = Hash.from_string(blockhash)
        message: Message | MessageV1
        if version is TransactionVersion.V1:
            config = TransactionConfig(
                priority_fee=budget.priority_fee_lamports,
                compute_unit_limit=budget.compute_unit_limit,
                loaded_accounts_data_size_limit=budget.loaded_data_bytes_max,
            )
            message = MessageV1.try_compile(payer_key, compiled, recent, config)
        else:
            message = Message.new_with_blockhash(compiled, payer_key, recent)
        slots = [Signature.default()] * message.header.num_required_signatures
        return bytes(VersionedTransaction.populate(message, slots))

    def accounts_of(self, wire: bytes) -> list[str]:
        """Returns the accounts of wire bytes that `compile` made, in their order."""
        message = VersionedTransaction.from_bytes(wire).message
        return [str(key) for key in message.account_keys]

    def associated_token_address(self, owner: str, token_program: str, mint: str) -> str:
        """Returns the address of the token account that is derived for `owner`."""
        seeds = [bytes(Pubkey.from_string(part)) for part in (owner, token_program, mint)]
        return str(Pubkey.find_program_address(seeds, _ASSOCIATED_TOKEN)[0])

    def fee_probe(self, payer: str, blockhash: str) -> bytes:
        """Returns the message of a legacy transaction with one signature and no priority fee.

        What the cluster says it costs is what it charges for a signature.
        """
        message = Message.new_with_blockhash(
            [], Pubkey.from_string(payer), Hash.from_string(blockhash)
        )
        return to_bytes_versioned(message)


def _instruction(item: Instruction) -> SoldersInstruction:
    return SoldersInstruction(
        Pubkey.from_string(item.program),
        item.data,
        [
            AccountMeta(Pubkey.from_string(use.address), use.is_signer, use.is_writable)
            for use in item.accounts
        ],
    )
