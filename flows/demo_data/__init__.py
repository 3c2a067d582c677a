"""The sample CRM the demo runs on: a consultancy with forty customers on five continents, and one day of its business."""
