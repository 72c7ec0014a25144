"""Campaigns: workers, budget, store and screen."""
