"""The parts of cluster/chaos. Python 3.11, standard library only."""
