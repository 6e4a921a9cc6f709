def lookup_order(number: str) -> str:
    """Where an order is."""
    return f"Order {number} is on its way."
