"""Generated from proto/: solward.gateway."""
