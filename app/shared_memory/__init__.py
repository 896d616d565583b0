"""Files that the workers of one machine share. Most are mapped into the memory of each worker."""
