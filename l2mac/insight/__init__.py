"""See into runs, from the record alone: series of numbers, and what is drawn, written and sent of them."""
