/* Sources cut into units that can be read independently, by any thread and in any order: one unit's samples after the
 * other are the samples of the sources in order. The cuts depend on the sources alone, not on who reads them.
 *
 *     folder      every n files, listed once; names are held, about 40 bytes a file
 *     tar         one unit; one larger than unit_bytes, if not compressed, is cut every n samples: a pass over its
 *                 headers finds where. Compressed, or on standard input: one unit
 *     manifest    every n rows, by a pass over the file. A compressed one is unpacked into a nameless file in $TMPDIR
 *     dataset     every n samples
 *
 * Memory: 40 bytes a unit besides; no picture is read before its turn. */
#ifndef LENS_DATA_SOURCE_UNITS_H
#define LENS_DATA_SOURCE_UNITS_H

#include "data/source.h"

typedef struct {
    /* Columns of a .json or a manifest; NULL: the known names (data/columns_known.h). A caption's column that is named
     * here counts more than a .txt. The key's column counts for a .json only where it is named here. */
    const char *picture_column, *caption_column, *key_column;
    uint64_t unit_bytes; /* of a tar that is not cut; 0: SOURCE_UNIT_BYTES */
} source_options_t;

#define SOURCE_UNIT_BYTES (UINT64_C(1) << 30)

typedef struct source_units source_units_t;

/* paths: n_paths > 0 of them, and options (NULL: none), copied. samples_per_unit > 0. *out is owned by the caller.
 * IO: a path cannot be read. FORMAT: a manifest lacks its columns or names URLs, a dataset is damaged; a damaged tar is
 * a reject of its unit. ARGUMENT: standard input twice or from a terminal, a pipe, a Parquet file. */
LENS_CHECKED lens_status source_units_open(source_units_t **out, char *const *paths, int n_paths,
                                           int64_t samples_per_unit);
LENS_CHECKED lens_status source_units_open_with(source_units_t **out, char *const *paths, int n_paths,
                                                int64_t samples_per_unit, const source_options_t *options);
void source_units_close(source_units_t *u); /* NULL is allowed; its sources are closed before */

int64_t source_units_n(const source_units_t *u);               /* at least one a path */
int source_units_input(const source_units_t *u, int64_t unit); /* which of the paths it is a part of */
const char *source_units_path(const source_units_t *u, int64_t unit);

/* A source of that unit's samples. Any thread. u outlives *out. Standard input can be read once. A tar or a manifest
 * that is not what was listed is one reject (CUT_SHORT), a file that is gone is a reject (VANISHED). */
LENS_CHECKED lens_status source_units_read(const source_units_t *u, int64_t unit, source_t **out);

/* Of what was listed: paths, sizes, times of change, cuts, options. Standard input: of "-" alone. Another number means
 * another input. */
uint64_t source_units_hash(const source_units_t *u);

#endif
