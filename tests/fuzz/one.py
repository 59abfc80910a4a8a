"""Fuzzes one target until libFuzzer's own options end it: `python -m tests.fuzz.one NAME ...`."""

import sys

import atheris

# All that is to be covered is first imported here.
with atheris.instrument_imports(include=["signer_daemon"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Hand over to libFuzzer, which ends the process."""
    target, _ = TARGETS[sys.argv.pop(1)]

    def test_one_input(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
