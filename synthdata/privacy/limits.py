"""How much the privacy report holds at once, however many cases there are."""

MEMORY_MB = 64  # of the working arrays of one step: products, distances, pairs of records
BATCH = 512  # cases whose thumbnails and boxes are in memory
MOST_FITTED = 2000  # cases behind a view, the components of a box and its law; the search is among all
DISK_MB = 512  # in TMPDIR, of the boxes of real patients, moved about; more of them are moved less
