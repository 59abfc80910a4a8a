"""What tests share: servers, chains and processes. fixtures.py offers them to pytest."""
