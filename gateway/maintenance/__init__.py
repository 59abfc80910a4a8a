"""What an operator does to the database itself, beside the running gateways."""
