"""What a failed simulation says of a plan: that it cannot work, or nothing that is certain."""

import json
from dataclasses import dataclass
from typing import Final

from gateway.domain.instructions import SYSTEM_PROGRAM
from gateway.domain.token_programs import ASSOCIATED_TOKEN, MEMO, TOKEN, TOKEN_2022, TOKEN_PROGRAMS

# A lack of funds passes: whoever pays may be funded between planning and executing. 1 is what it
# is for the System program and the token programs, and so for the ATA program, which calls them.
_LACKS_FUNDS: Final = 1
# A transaction that is too long for the trace is split when it has failed.
_PASSING: Final = frozenset({"InsufficientFunds", "MaxInstructionTraceLengthExceeded"})
_PROGRAM_NAMES: Final = {
    SYSTEM_PROGRAM: "the System program",
    TOKEN: "SPL Token",
    TOKEN_2022: "Token-2022",
    ASSOCIATED_TOKEN: "the ATA program",
    MEMO: "the Memo program",
}
# spl_token_2022::error::TokenError, of which SPL Token has the first twenty.
_TOKEN_ERRORS: Final = {
    2: "invalid mint",
    3: "account not of this mint",
    4: "owner does not match",
    9: "account not initialized",
    11: "account holds tokens",
    13: "account in the wrong state",
    17: "account is frozen",
    18: "decimals are not the mint's",
    32: "transfer fee is not the mint's",
    35: "account holds withheld fees",
    36: "account requires a memo",
    37: "tokens are non-transferable",
    49: "account takes confidential transfers only",
}


@dataclass(frozen=True, slots=True)
class ProgramFailure:
    """An instruction, by its place in the transaction, and the error of its program."""

    instruction: int
    error: str
    code: int | None = None

    def describe(self, program: str) -> str:
        """Returns it in words, `program` being the address of the one that was called."""
        name = _PROGRAM_NAMES.get(program, program)
        if self.code is None:
            return f"{name}: {self.error}"
        known = _TOKEN_ERRORS.get(self.code, "") if program in TOKEN_PROGRAMS else ""
        return f"{name}: error {self.code}{f', {known}' if known else ''}"


def read_failure(error: str) -> ProgramFailure | None:
    """Returns what a program refused for good, None if that is not certain.

    `error` is a transaction error as a node writes it in JSON. Certain is an error of a program's
    own, other than a lack of funds. All others (a payer without an account, a blockhash that the
    node did not replace, a format or a signature that it does not take) are of the node, the moment
    or the fee payer, and say nothing of the plan.
    """
    try:
        parsed = json.loads(error)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or list(parsed) != ["InstructionError"]:
        return None
    match parsed["InstructionError"]:
        case [int(place), {"Custom": int(code)}] if code != _LACKS_FUNDS:
            return ProgramFailure(place, "Custom", code)
        case [int(place), str(name)] if name not in _PASSING and _is_name(name):
            return ProgramFailure(place, name)
    return None


def loads_too_much(error: str) -> bool:
    """True if a transaction error says that accounts have more data than the transaction loads."""
    return error == json.dumps("MaxLoadedAccountsDataSizeExceeded")


def _is_name(text: str) -> bool:
    """True if it is one of the runtime's names, and not whatever a node likes to have shown."""
    return text.isascii() and text.isalnum()
