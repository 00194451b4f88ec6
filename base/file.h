/* Files: read whole, written aside and renamed.
 *
 * Durable write: a temporary name in the same folder, fsync, rename, fsync the folder. What stands under its final name
 * is whole. A process that is killed leaves at most NAME.tmp.PID behind. */
#ifndef LENS_BASE_FILE_H
#define LENS_BASE_FILE_H

#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

typedef struct atomic_file atomic_file_t;

/* Opens a temporary file beside `path`. *out is owned by the caller until commit or abort. */
LENS_CHECKED lens_status atomic_file_open(atomic_file_t **out, const char *path);
FILE *atomic_file_stream(atomic_file_t *f); /* borrowed */
/* Flushes, syncs, renames; frees f in every case. On failure nothing stands under the final name that was not there. */
LENS_CHECKED lens_status atomic_file_commit(atomic_file_t *f);
void atomic_file_abort(atomic_file_t *f); /* removes the temporary file and frees f; NULL is allowed */

/* The two steps for files that a library writes by name (HDF5): make the name, write, publish. */
LENS_CHECKED lens_status file_temporary_name(str_t *out, const char *path);
LENS_CHECKED lens_status file_publish(const char *temporary, const char *path); /* file or folder: sync, rename, sync */

LENS_CHECKED lens_status file_write(const char *path, const void *bytes, size_t n); /* durable, whole */
/* Reads all of `path`; *out is malloc'ed, owned by the caller, NUL-terminated. Larger than max_bytes is FORMAT. */
LENS_CHECKED lens_status file_read(char **out, size_t *n, const char *path, size_t max_bytes);
/* Opens for reading (a folder too), whatever signals come; *fd is the caller's to close, -1 on failure. */
LENS_CHECKED lens_status file_open(int *fd, const char *path);
/* Up to n bytes: *got is less where the file ends before. */
LENS_CHECKED lens_status file_read_some(int fd, void *out, size_t n, uint64_t offset, size_t *got, const char *path);
/* All n bytes or an error; IO also where the file ends before. */
LENS_CHECKED lens_status file_read_at(int fd, void *out, size_t n, uint64_t offset, const char *path);
LENS_CHECKED lens_status file_write_at(int fd, const void *bytes, size_t n, uint64_t offset,
                                       const char *path); /* all n or error */
LENS_CHECKED lens_status file_size(uint64_t *out, const char *path);
/* What kind of failure errno tells: MEMORY where the process or the machine ran out of memory or of open files, which
 * is no fault of any file; else IO. */
lens_status file_error_kind(int error);
bool file_exists(const char *path);
bool file_is_dir(const char *path);

LENS_CHECKED lens_status dir_make(const char *path);   /* with parents; existing is fine */
LENS_CHECKED lens_status dir_remove(const char *path); /* recursively; missing is fine */
/* Names in the folder, without "." and "..", sorted bytewise. Owned by the caller: free with dir_list_free. */
LENS_CHECKED lens_status dir_list(char ***names, int64_t *n, const char *path);
void dir_list_free(char **names, int64_t n);

#endif
