"""The mesh on one machine: its parts as child processes under a supervisor, and the servers that they stand on."""
