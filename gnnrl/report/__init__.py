"""Views for people: the report of a compression as one HTML file, its model card, and views for notebooks."""
