"""What a model looks at and what made its answers, made visible."""
