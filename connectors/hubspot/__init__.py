"""HubSpot: its webhooks are understood; there is no connector that reads it yet."""
