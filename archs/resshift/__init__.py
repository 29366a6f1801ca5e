"""archs.resshift."""
