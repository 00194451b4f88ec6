#include "recaption/recaption_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* Whether the file that is open still has this name: who ends last removes it. */
static bool is_at(int fd, const char *path) {
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && open_file.st_ino == named.st_ino;
}

static lens_status take(int *lock, const char *path, const char *dir) {
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0) return lens_fail(file_error_kind(errno), "%s: cannot create: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? lens_fail(LENS_STATE, "%s: another lens recaption is at work here", dir)
                                    : lens_fail(LENS_IO, "%s: cannot lock: %s", path, strerror(errno));
    if (is_at(*lock, path)) return LENS_OK;
    return lens_fail(LENS_STATE, "%s: another lens recaption has just ended here; try again", dir);
}

lens_status recaption_lock(int *lock, const char *dir) {
    str_t path = {0};
    *lock = -1;
    str_addf(&path, "%s/.recaption", dir);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = dir_make(path.s);
    str_add(&path, "/lock");
    if (st == LENS_OK) st = str_status(&path);
    if (st == LENS_OK) st = take(lock, path.s, dir);
    if (st != LENS_OK && *lock >= 0) {
        close(*lock);
        *lock = -1;
    }
    str_free(&path);
    return st;
}

/* Folders for layers that were written aside are empty by now. What is not empty stays. */
static void remove_empty(const char *folder) {
    char **names;
    int64_t n;
    if (dir_list(&names, &n, folder) != LENS_OK) return;
    bool only_lock = true;
    for (int64_t i = 0; i < n; i++) {
        str_t path = {0};
        str_addf(&path, "%s/%s", folder, names[i]);
        if (strcmp(names[i], "lock") != 0) only_lock &= !path.failed && rmdir(path.s) == 0;
        str_free(&path);
    }
    dir_list_free(names, n);
    str_t lock = {0};
    str_addf(&lock, "%s/lock", folder);
    if (only_lock && !lock.failed && unlink(lock.s) == 0) (void)rmdir(folder);
    str_free(&lock);
}

void recaption_unlock(int lock, const char *dir) {
    if (lock < 0) return;
    str_t folder = {0};
    str_addf(&folder, "%s/.recaption", dir);
    if (!folder.failed) remove_empty(folder.s);
    str_free(&folder);
    close(lock);
}
