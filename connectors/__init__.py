"""The border: one folder a system, each speaking its vendor's dialect behind the protocols in `base`."""
