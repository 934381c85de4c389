"""The writing side: the owner of a partition takes readings in and commits what follows; people's questions are in
`queries`."""
