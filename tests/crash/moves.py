"""The moves of the state machine, and a database that remembers which it has made.

A move is (machine, from, to), such as ("attempt", "sent", "expired").
"""

from collections.abc import Mapping

from gateway.domain.states import ATTEMPT_MOVES, BATCH_MOVES, DISTRIBUTION_MOVES, S

Move = tuple[str, str, str]
TABLES = {
    "distribution": ("distributions", "id"),
    "batch": ("distribution_batches", "distribution_id"),
    "attempt": ("attempts", "distribution_id"),
}


def _moves(machine: str, table: Mapping[S, frozenset[S]]) -> set[Move]:
    return {(machine, was.value, to.value) for was, ends in table.items() for to in ends}


# All that gateway.domain.states allows.
ALLOWED: frozenset[Move] = frozenset(
    _moves("distribution", DISTRIBUTION_MOVES)
    | _moves("batch", BATCH_MOVES)
    | _moves("attempt", ATTEMPT_MOVES)
)


def remembering() -> list[str]:
    """Returns the statements that make a database keep every move, with what it moves."""
    statements = [
        "CREATE TABLE moves_made (distribution_id uuid, machine text, was text, becomes text)"
    ]
    for machine, (table, key) in TABLES.items():
        statements += [
            f"""CREATE FUNCTION note_{machine}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO moves_made VALUES (NEW.{key}, '{machine}', OLD.state, NEW.state);
                RETURN NULL; END $$""",
            f"""CREATE TRIGGER note_{machine} AFTER UPDATE ON {table} FOR EACH ROW
                WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION note_{machine}()""",
        ]
    return statements
