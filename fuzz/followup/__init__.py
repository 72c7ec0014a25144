"""From a divergence that was seen once to a finding: confirmed, minimised, described."""
