"""Static tables of public facts and words that the demos draw on."""
