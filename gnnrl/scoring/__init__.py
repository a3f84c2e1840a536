"""A plan in, a score out: measures of a network, scores per class, and what one evaluation costs."""
