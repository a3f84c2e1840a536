"""Pruning: plans, criteria, projection, closed-form repair and verification."""
