#include "base/command.h"

#include <string.h>

#include "base/log.h"

lens_status command_action(int *out, const char *word, const char *const *names, int n) {
    for (*out = 0; *out < n; ++*out)
        if (strcmp(word, names[*out]) == 0) return LENS_OK;
    const char *near = str_nearest(word, names, n);
    return lens_fail(LENS_ARGUMENT, "unknown action \"%s\"%s%s%s", word, near ? " (did you mean \"" : "",
                     near ? near : "", near ? "\"?)" : "");
}

lens_status command_by_ranks(lens_status (*run)(comm_t *comm, void *arg), void *arg) {
    comm_t *comm;
    LENS_TRY(comm_init(&comm));
    log_init(comm_rank(comm), comm_world(comm));
    lens_status st = run(comm, arg);
    if (st != LENS_OK && comm_world(comm) > 1) {
        if (comm_rank(comm) == 0) log_error("%s", lens_error());
        lens_set_error("%s", "");
    }
    comm_free(comm);
    return st;
}
