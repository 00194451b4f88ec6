/* The six tasks of GenEval (Ghosh et al., "GenEval: An Object-Focused Framework for Evaluating Text-to-Image
 * Alignment", NeurIPS 2023), and the two forms that we ask them in: what scores are counted by. */
#ifndef LENS_EVAL_COMPOSE_TASK_H
#define LENS_EVAL_COMPOSE_TASK_H

/* X(NAME, "word", "title", "what is asked") */
#define COMPOSE_TASK_LIST(X)                                                                                           \
    X(SINGLE, "single_object", "single object", "one object's shape")                                                  \
    X(TWO, "two_object", "two objects", "two objects' shapes")                                                         \
    X(COUNTING, "counting", "counting", "exactly so many of a shape, two to four")                                     \
    X(COLOURS, "colors", "colors", "one object's shape and color")                                                     \
    X(POSITION, "position", "position", "two objects' shapes, and one left of, right of, above or below the other")    \
    X(ATTRIBUTION, "color_attr", "attribution", "two objects' shapes and colors")
#define COMPOSE_ENUM_TASK(name, word, title, help) COMPOSE_##name,
/* COMPOSE_OVERALL: the mean over the tasks */
typedef enum { COMPOSE_TASK_LIST(COMPOSE_ENUM_TASK) COMPOSE_OVERALL } compose_task;
enum { COMPOSE_N_TASKS = COMPOSE_OVERALL };
const char *compose_task_word(compose_task t);  /* GenEval's "tag"; "overall" */
const char *compose_task_title(compose_task t); /* for people; "overall" */
const char *compose_task_help(compose_task t);  /* not of COMPOSE_OVERALL */

/* Prompts worded as brief captions are, and as detailed ones about the same facts. */
typedef enum { COMPOSE_SHORT, COMPOSE_LONG, COMPOSE_N_FORMS } compose_form;
const char *compose_form_word(compose_form f); /* "short", "long" */

#endif
