"""archs.lgcaa."""
