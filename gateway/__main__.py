"""`python -m gateway --config FILE [serve | migrate | records export | records import FILE]`."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from gateway import logs
from gateway.adapters.postgres import migrate
from gateway.app import serve
from gateway.config import ConfigError, load
from gateway.domain.errors import GatewayError
from gateway.listening import Bound, StartError
from gateway.maintenance import commands as maintenance

EXIT_FAILED = 1
EXIT_BAD_CONFIG = 2


def main(arguments: list[str] | None = None) -> int:
    """Runs the gateway or its migrations; returns the exit code and says on stderr why not 0."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="The Solward gateway.")
    parser.add_argument("--config", type=Path, required=True, help="the TOML file")
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve until told to stop; what it does without a command")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    maintenance.add(commands)
    options = parser.parse_args(arguments)
    try:
        config = load(options.config, os.environ)
    except ConfigError as error:
        return _fail(str(error), EXIT_BAD_CONFIG)
    logs.configure()
    try:
        if options.command == "migrate":
            _say({"migrated": asyncio.run(migrate(config.postgres.url))})
        elif options.command == "records":
            asyncio.run(maintenance.run(options, config))
        else:
            asyncio.run(serve(config, announce=_announce))
    except GatewayError as error:
        return _fail(error.message, EXIT_FAILED)
    except (StartError, OSError) as error:
        return _fail(str(error), EXIT_FAILED)
    return 0


def _announce(bound: Bound) -> None:
    metrics = {"metrics": bound.metrics} if bound.metrics else {}
    _say({"ready": True, "tcp": bound.tcp, "unix": bound.unix, "pid": os.getpid()} | metrics)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _fail(message: str, code: int) -> int:
    sys.stderr.write(json.dumps({"level": "error", "event": message}) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
