"""What is told beside an answer: lost claims, nudges, unknown names, what isn't here."""
