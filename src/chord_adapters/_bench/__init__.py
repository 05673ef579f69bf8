"""What ``chord bench`` measures: this project beside its peers and beside the bare limit, in the same run."""
