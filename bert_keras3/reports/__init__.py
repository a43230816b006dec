"""Reports on fine-tuning runs: pages that say how good, and where wrong."""
