"""Red teaming: attacks, what they found, how often they succeed, and what must never break again."""
