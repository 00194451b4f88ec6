/* A plan of tensors: one row each with name, shape, type, and the pointer that will hold its address.
 *
 * The same rows size a buffer, hand out aligned pointers, name the fields of a checkpoint, choose weight decay and
 * initialisation, and print the memory table. A buffer is allocated once, after the plan is complete. */
#ifndef LENS_MODEL_PLAN_H
#define LENS_MODEL_PLAN_H

#include "base/str.h"
#include "kernels/kernels.h"

#define PLAN_NAME_MAX 96
#define PLAN_MAX_DIMS 4
#define PLAN_ALIGN_BYTES 64

typedef enum { PLAN_F32, PLAN_F64, PLAN_I32, PLAN_U8, PLAN_ACT } plan_type;

typedef enum {
    PLAN_PACKED = 1,   /* starts where the row before ends, so that two matrices are also one */
    PLAN_NO_DECAY = 2, /* weight decay leaves it alone: norms and biases */
    PLAN_PRODUCT = 4,  /* its gradient is a product's, which can write instead of add (mmdit_tensors_t.fresh) */
} plan_flag;

typedef struct {
    char name[PLAN_NAME_MAX];
    plan_type type;
    unsigned flags; /* of plan_flag */
    int n_dims;
    int64_t shape[PLAN_MAX_DIMS];
    int64_t n;                 /* elements */
    int64_t group;             /* of rows that lie together (plan_begin_group) */
    size_t offset_bytes;       /* in the buffer */
    float init_mean, init_std; /* of a weight before training */
    void *slot;                /* where plan_bind writes the address: a pointer variable; NULL: nowhere */
} plan_row_t;

typedef struct {
    plan_row_t *rows;
    int n, cap;
    size_t bytes;       /* of the buffer */
    size_t act_bytes;   /* of one PLAN_ACT element */
    size_t group_align; /* bytes: where a group may begin and a plan may end; 0: anywhere */
    int64_t group;      /* of the rows to come */
    bool failed;
} plan_t;

typedef struct {
    int n_dims;
    int64_t dims[PLAN_MAX_DIMS];
} plan_shape_t;
#define PLAN_1D(a) ((plan_shape_t){1, {(a)}})
#define PLAN_2D(a, b) ((plan_shape_t){2, {(a), (b)}})
#define PLAN_3D(a, b, c) ((plan_shape_t){3, {(a), (b), (c)}})
#define PLAN_4D(a, b, c, d) ((plan_shape_t){4, {(a), (b), (c), (d)}})

/* Appends a row; slot is the address of a pointer. The row is borrowed until the next plan_add; never NULL (out of
 * memory is kept for plan_status). */
plan_row_t *plan_add(plan_t *p, void *slot, plan_type type, unsigned flags, plan_shape_t shape, const char *name, ...)
    __attribute__((format(printf, 6, 7)));
/* Rows from here on belong to `group`, and lie together; groups come in ascending order. The buffer is padded to
 * group_align, so that each group begins, and the plan ends, at a multiple of it. */
void plan_begin_group(plan_t *p, int64_t group);
void plan_end_groups(plan_t *p);
LENS_CHECKED lens_status plan_status(const plan_t *p);
/* Writes base + offset to every slot. */
void plan_bind(const plan_t *p, void *base);
/* For a plan of PLAN_F32 rows whose buffer holds elements of element_bytes instead (bf16 copies of the weights). */
void plan_bind_as(const plan_t *p, void *base, size_t element_bytes);
/* The rows of groups [first, last] of a plan of PLAN_F32 rows alone; base holds what lies at `origin` floats of the
 * whole. */
void plan_bind_group(const plan_t *p, int64_t first, int64_t last, float *base, int64_t origin);
int64_t plan_n_floats(const plan_t *p);   /* bytes / 4: length of a flat buffer over PLAN_F32 rows, padding included */
int64_t plan_n_elements(const plan_t *p); /* sum of n, without padding */
const plan_row_t *plan_find(const plan_t *p, const char *name);
/* Values of a row before training: normal with its init_mean and init_std; they depend on the seed and the row's name
 * alone. host: f32 [row->n]. */
void plan_init_row(const plan_row_t *row, float *host, uint64_t seed);
void plan_clear(plan_t *p); /* no rows any more; room for as many is kept, so that adding them allocates nothing */
void plan_free(plan_t *p);  /* and resets */

#endif
