#include "data/dataset_names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char prefix[] = "shard-", suffix[] = ".h5";
enum { PREFIX_LEN = sizeof prefix - 1, SUFFIX_LEN = sizeof suffix - 1, DIGITS_MIN = 5, DIGITS_MAX = 12 };

bool shard_name_parse(const char *name, size_t n, int64_t *number) {
    if (n < PREFIX_LEN + DIGITS_MIN || n > PREFIX_LEN + DIGITS_MAX || memcmp(name, prefix, PREFIX_LEN) != 0)
        return false;
    int64_t value = 0;
    for (size_t i = PREFIX_LEN; i < n; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        value = value * 10 + (name[i] - '0');
    }
    *number = value;
    return n == PREFIX_LEN + DIGITS_MIN || name[PREFIX_LEN] != '0'; /* one name a number */
}

void shard_name_format(str_t *out, int64_t number) {
    str_clear(out);
    str_addf(out, SHARD_NAME_FORMAT, (long long)number);
}

bool kind_name_valid(const char *kind) {
    size_t n = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n < 64 && kind[n] == '\0' && strcmp(kind, "base") != 0 && strcmp(kind, "alt") != 0;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Names as they come from the system: a folder may hold 100,000, which need no sorted copies. */
static lens_status read_numbers(DIR *dir, const char *folder, int64_t **numbers, int64_t *n) {
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        const char *name = entry->d_name;
        if (!str_ends_with(name, suffix)) continue;
        if ((*n & (*n - 1)) == 0) {
            int64_t *grown = realloc(*numbers, sizeof *grown * (size_t)(*n ? 2 * *n : 1));
            if (!grown) return lens_fail(LENS_MEMORY, "%s: out of memory", folder);
            *numbers = grown;
        }
        if (!shard_name_parse(name, strlen(name) - SUFFIX_LEN, &(*numbers)[*n]))
            return lens_fail(LENS_FORMAT, "%s/%s: no name of a shard, expected shard-NNNNN.h5", folder, name);
        ++*n;
    }
    return LENS_OK;
}

lens_status shard_numbers(int64_t **numbers, int64_t *n, const char *folder) {
    *numbers = NULL;
    *n = 0;
    if (!file_is_dir(folder)) return LENS_OK;
    DIR *dir = opendir(folder);
    if (!dir) return lens_fail(LENS_IO, "%s: cannot list the folder: %s", folder, strerror(errno));
    int64_t *found = NULL, count = 0;
    lens_status st = read_numbers(dir, folder, &found, &count);
    closedir(dir);
    if (st != LENS_OK) {
        free(found);
        return st;
    }
    if (count) qsort(found, (size_t)count, sizeof *found, ascending);
    *numbers = found;
    *n = count;
    return LENS_OK;
}
