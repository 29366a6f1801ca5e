"""archs.lgcaa.sampling."""
