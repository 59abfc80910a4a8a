"""Generated from proto/: solward."""
