"""What a model looks at, made visible: attention maps, roles of heads."""
