"""The roof: the only room that knows both wings."""
