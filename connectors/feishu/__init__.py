"""Feishu and Lark: their events are understood; there is no connector that writes to them yet."""
