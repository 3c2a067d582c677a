"""DingTalk: its events are understood; there is no connector that writes to it yet."""
