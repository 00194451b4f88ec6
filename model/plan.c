#include "model/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/rng.h"

enum { INIT_PIECE = 1 << 14 }; /* initial values that a thread makes at a time */

static size_t type_bytes(const plan_t *p, plan_type type) {
    switch (type) {
    case PLAN_F32:
    case PLAN_I32:
        return 4;
    case PLAN_F64:
        return 8;
    case PLAN_U8:
        return 1;
    case PLAN_ACT:
        return p->act_bytes;
    }
    return 0;
}

static plan_row_t *new_row(plan_t *p) {
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 64;
        plan_row_t *grown = realloc(p->rows, sizeof *grown * (size_t)cap);
        if (!grown) {
            p->failed = true;
            static _Thread_local plan_row_t lost; /* written, never read: the plan is failed */
            return &lost;
        }
        p->rows = grown;
        p->cap = cap;
    }
    return &p->rows[p->n++];
}

plan_row_t *plan_add(plan_t *p, void *slot, plan_type type, unsigned flags, plan_shape_t shape, const char *name, ...) {
    LENS_ASSERT(type != PLAN_ACT || p->act_bytes, "act_bytes %zu", p->act_bytes);
    plan_row_t *row = new_row(p);
    *row = (plan_row_t){.type = type, .n_dims = shape.n_dims, .n = 1, .group = p->group, .slot = slot, .flags = flags};
    for (int i = 0; i < shape.n_dims; i++) {
        row->shape[i] = shape.dims[i];
        row->n *= shape.dims[i];
    }
    va_list args;
    va_start(args, name);
    vsnprintf(row->name, sizeof row->name, name, args);
    va_end(args);
    size_t align = flags & PLAN_PACKED ? 1 : PLAN_ALIGN_BYTES;
    row->offset_bytes = (p->bytes + align - 1) / align * align;
    p->bytes = row->offset_bytes + type_bytes(p, type) * (size_t)row->n;
    return row;
}

void plan_end_groups(plan_t *p) {
    if (p->group_align) p->bytes = (p->bytes + p->group_align - 1) / p->group_align * p->group_align;
}

void plan_begin_group(plan_t *p, int64_t group) {
    LENS_ASSERT(p->n == 0 || group >= p->group, "group %lld after %lld", (long long)group, (long long)p->group);
    plan_end_groups(p);
    p->group = group;
}

lens_status plan_status(const plan_t *p) {
    return p->failed ? lens_fail(LENS_MEMORY, "out of memory for a plan of %d tensors", p->n) : LENS_OK;
}

static void bind_slot(const plan_row_t *row, void *address) {
    if (row->slot) memcpy(row->slot, &address, sizeof address); /* the variable may be any pointer to an object */
}

void plan_bind(const plan_t *p, void *base) {
    for (int i = 0; i < p->n; i++) bind_slot(&p->rows[i], (char *)base + p->rows[i].offset_bytes);
}

void plan_bind_as(const plan_t *p, void *base, size_t element_bytes) {
    for (int i = 0; i < p->n; i++)
        bind_slot(&p->rows[i], (char *)base + p->rows[i].offset_bytes / sizeof(float) * element_bytes);
}

void plan_bind_group(const plan_t *p, int64_t first, int64_t last, float *base, int64_t origin) {
    for (int i = 0; i < p->n; i++) {
        const plan_row_t *row = &p->rows[i];
        if (row->group >= first && row->group <= last)
            bind_slot(row, base + ((int64_t)(row->offset_bytes / sizeof(float)) - origin));
    }
}

int64_t plan_n_floats(const plan_t *p) {
    return (int64_t)((p->bytes + sizeof(float) - 1) / sizeof(float));
}

int64_t plan_n_elements(const plan_t *p) {
    int64_t n = 0;
    for (int i = 0; i < p->n; i++) n += p->rows[i].n;
    return n;
}

const plan_row_t *plan_find(const plan_t *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->rows[i].name, name) == 0) return &p->rows[i];
    return NULL;
}

void plan_init_row(const plan_row_t *row, float *host, uint64_t seed) {
    uint64_t name_hash = XXH3_64bits(row->name, strlen(row->name));
    rng_t stream = rng_stream(seed, 0, name_hash & ((UINT64_C(1) << 40) - 1), RNG_INIT);
    /* A normal is a block of its stream. Billions of weights, one thread: minutes. */
#pragma omp parallel for schedule(static) if (row->init_std > 0 && row->n >= INIT_PIECE)
    for (int64_t begin = 0; begin < row->n; begin += INIT_PIECE) {
        int64_t end = begin + INIT_PIECE < row->n ? begin + INIT_PIECE : row->n;
        rng_t r = stream;
        rng_seek(&r, (uint32_t)begin);
        for (int64_t i = begin; i < end; i++)
            host[i] = row->init_mean + (row->init_std > 0 ? row->init_std * (float)rng_normal(&r) : 0.0f);
    }
}

void plan_clear(plan_t *p) {
    p->n = 0;
    p->bytes = 0;
    p->group = 0;
}

void plan_free(plan_t *p) {
    free(p->rows);
    *p = (plan_t){.act_bytes = p->act_bytes, .group_align = p->group_align};
}
