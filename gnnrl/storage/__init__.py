"""What survives a kill: whole files, journals, snapshots and the layout of a result. It knows no search."""
