"""What must be known of the kinds of tables before any score is read; `tables` and `figures` have a file for each."""

COMPARING = {"contrasts", "verdicts"}  # their rows are contrasts
MEASURING = {"judges", "corrected"}  # they hold all judges side by side
