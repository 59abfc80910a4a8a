"""The signing daemon, the only process that holds keys. No network, no database, no other file."""
