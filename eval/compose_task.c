#include "eval/compose_task.h"

#define TASK_WORD(name, word, title, help) word,
#define TASK_TITLE(name, word, title, help) title,
#define TASK_HELP(name, word, title, help) help,
static const char *const WORDS[] = {COMPOSE_TASK_LIST(TASK_WORD) "overall"};
static const char *const TITLES[] = {COMPOSE_TASK_LIST(TASK_TITLE) "overall"};
static const char *const HELPS[] = {COMPOSE_TASK_LIST(TASK_HELP)};

const char *compose_task_word(compose_task t) {
    return WORDS[t];
}

const char *compose_task_title(compose_task t) {
    return TITLES[t];
}

const char *compose_task_help(compose_task t) {
    return HELPS[t];
}

const char *compose_form_word(compose_form f) {
    return f == COMPOSE_SHORT ? "short" : "long";
}
