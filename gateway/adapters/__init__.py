"""What talks to the outside: PostgreSQL, RPC nodes, the signer."""
