"""Whether what is paid to an address can be spent again by whoever named it. Pure.

Off-curve addresses (vaults of multisigs) have programs that sign for them, and pass.
"""

from collections.abc import Sequence
from typing import Final

from gateway.domain.chain import Account
from gateway.domain.errors import InvalidArgumentError
from gateway.domain.instructions import SYSTEM_PROGRAM
from gateway.domain.token_programs import TOKEN_PROGRAMS

# Of the runtime, whether it says that there is an account or not. What the incinerator holds is
# burnt with the block.
_RESERVED: Final = frozenset(
    {
        SYSTEM_PROGRAM,
        "1nc1nerator11111111111111111111111111111111",
        "NativeLoader1111111111111111111111111111111",
        "Sysvar1111111111111111111111111111111111111",
        "Sysvar1nstructions1111111111111111111111111",
        "SysvarC1ock11111111111111111111111111111111",
        "SysvarEpochRewards1111111111111111111111111",
        "SysvarEpochSchedu1e111111111111111111111111",
        "SysvarFees111111111111111111111111111111111",
        "SysvarLastRestartS1ot1111111111111111111111",
        "SysvarRecentB1ockHashes11111111111111111111",
        "SysvarRent111111111111111111111111111111111",
        "SysvarRewards111111111111111111111111111111",
        "SysvarS1otHashes111111111111111111111111111",
        "SysvarS1otHistory11111111111111111111111111",
        "SysvarStakeHistory1111111111111111111111111",
    }
)


def require_wallets(addresses: Sequence[str], accounts: Sequence[Account | None]) -> None:
    """Returns if each address is a wallet's, or could be; `accounts` are theirs, in order.

    Only the System program lets the holder of an address's key move what the address holds. Raises
    InvalidArgumentError naming the first that is none.
    """
    for position, (address, account) in enumerate(zip(addresses, accounts, strict=True)):
        reason = _unreachable(address, account)
        if reason:
            raise InvalidArgumentError(
                f"{address} is no wallet: {reason}",
                field=f"recipients.addresses.addresses[{position}]",
            )


def _unreachable(address: str, account: Account | None) -> str:
    if address in _RESERVED:
        return "it is an address of the runtime's own"
    if account is None:
        return ""
    if account.executable:
        return "it is a program"
    if account.owner in TOKEN_PROGRAMS:
        return "it is a token account or mint; name its owner"
    if account.owner != SYSTEM_PROGRAM:
        return f"it is an account of the program {account.owner}"
    return ""
