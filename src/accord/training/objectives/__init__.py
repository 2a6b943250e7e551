"""Pure functions of tensors: no model, no logging, no device moves."""
