"""Files that survive a killed process: whole files, journals, snapshots and saved results. No search is known here."""
