"""Generated from proto/: solward.signer."""
