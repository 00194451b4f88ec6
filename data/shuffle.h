/* HDF5's shuffle filter (number 2): the bytes of elements apart, all first ones, then all second ones, so that those
 * alike stand together and pack well. Reentrant. */
#ifndef LENS_DATA_SHUFFLE_H
#define LENS_DATA_SHUFFLE_H

#include <stddef.h>

/* n elements of `element` bytes each. */
void shuffle_bytes(void *out, const void *in, size_t n, size_t element);
/* Back again, elements [begin, begin + count) of n alone. */
void unshuffle_bytes(void *out, const void *in, size_t n, size_t element, size_t begin, size_t count);

#endif
