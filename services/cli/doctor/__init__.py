"""`tocsin doctor`: looks at a deployment from outside, changes nothing, and says what to mend."""
