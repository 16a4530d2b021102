"""What belongs to scripts/reproduce-full."""
