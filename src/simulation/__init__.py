"""Configuration, scenarios, the runner that puts everything together, and its report."""
