"""Generated from proto/: solward.gateway.v1."""
