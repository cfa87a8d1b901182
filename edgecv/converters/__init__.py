"""Host side: a source model -> one float graph -> quantised artifacts -> a verified bundle."""
