"""How a network shrinks: plans, criteria, surgery, repair. Knows nothing of learning."""
