"""`victor plan`: what a change of a spec does, before it is put into force."""
