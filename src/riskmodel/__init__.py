"""riskmodel: puts households in order for human verification. A signal, never a verdict."""
