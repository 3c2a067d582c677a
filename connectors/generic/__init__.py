"""Webhooks of any system that can send JSON with a secret or a signature."""
