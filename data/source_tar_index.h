/* Where the samples of a plain tar begin, from its headers alone: the bodies are passed over, not read. Private to
 * source*.c.
 *
 * Only what is certain is a cut: between two members of plain kinds whose names differ in their key. From the first
 * header on that is damaged or of a rare kind (sparse files, other character sets, links with a body), all is left to
 * the unit that is begun, which reads it as the whole tar would be read. */
#ifndef LENS_DATA_SOURCE_TAR_INDEX_H
#define LENS_DATA_SOURCE_TAR_INDEX_H

#include "data/source_kinds.h"

LENS_CHECKED lens_status tar_index_begins(bool *out, int fd,
                                          const char *path); /* whether the file's first block is the header of a tar */

/* Adds a cut before every samples_per_unit-th sample but the first; none where it is no plain tar. */
LENS_CHECKED lens_status tar_index_cut(const char *path, source_cuts_t *c);

#endif
