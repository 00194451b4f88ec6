/* Calls of the op table as data: which row, with which sizes, over which operands. What kernels/counting.h records of a
 * step, and `lens bench kernels` makes again.
 *
 * A call has up to OP_MAX_SIZES sizes, named by `sizes` of its row: letters are those of kernels/kernels.h, and
 *   stride   elements from one row of a matrix to the next, of which the call's slices are D columns
 *   keys     the sum of valid keys over the batch
 *   bias, dx, dw, db, average  whether the operand is there: 0 or 1
 * Operands come in the order in which `op_make` takes them. */
#ifndef LENS_KERNELS_OP_CALL_H
#define LENS_KERNELS_OP_CALL_H

#include "base/str.h"
#include "kernels/kernels.h"

/* X(name, sizes) for every row that a device works for, in the table's order. */
#define OP_ROWS(X)                                                                                                     \
    X(upload, "bytes")                                                                                                 \
    X(download, "bytes")                                                                                               \
    X(zero, "bytes")                                                                                                   \
    X(copy, "bytes")                                                                                                   \
    X(to_act, "n")                                                                                                     \
    X(to_float, "n")                                                                                                   \
    X(linear_fwd, "R out in bias")                                                                                     \
    X(linear_bwd_x, "R out in")                                                                                        \
    X(linear_bwd_x_add, "R out in")                                                                                    \
    X(linear_bwd_w, "R out in bias")                                                                                   \
    X(linear_bwd_w_first, "R out in bias")                                                                             \
    X(lora_fwd, "R out r stride")                                                                                      \
    X(lora_bwd, "R out r stride db")                                                                                   \
    X(rms_mod_fwd, "B L D stride")                                                                                     \
    X(rms_mod_bwd, "B L D stride dw")                                                                                  \
    X(layer_mod_fwd, "B L D stride")                                                                                   \
    X(layer_mod_bwd, "B L D stride")                                                                                   \
    X(rms_fwd, "R D stride")                                                                                           \
    X(rms_bwd, "R D stride dx dw")                                                                                     \
    X(qkv_fwd, "B L H K S first")                                                                                      \
    X(qkv_bwd, "B L H K S first dw")                                                                                   \
    X(attention_fwd, "B H N T K queries keys")                                                                         \
    X(attention_bwd, "B H N T K queries keys")                                                                         \
    X(gated_add_fwd, "B L D stride")                                                                                   \
    X(gated_add_bwd, "B L D stride")                                                                                   \
    X(swiglu_fwd, "R M")                                                                                               \
    X(swiglu_bwd, "R M")                                                                                               \
    X(silu_fwd, "n")                                                                                                   \
    X(silu_bwd, "n")                                                                                                   \
    X(timestep_fwd, "B dim")                                                                                           \
    X(embed_fwd, "R ids E")                                                                                            \
    X(embed_bwd, "R ids E")                                                                                            \
    X(patchify, "B h w p")                                                                                             \
    X(unpatchify, "B h w p")                                                                                           \
    X(noise, "B n")                                                                                                    \
    X(flow_mix, "B n")                                                                                                 \
    X(flow_loss, "B n")                                                                                                \
    X(guide, "R C")                                                                                                    \
    X(axpy, "n")                                                                                                       \
    X(sum_squares, "n")                                                                                                \
    X(sum_losses, "n")                                                                                                 \
    X(judge, "")                                                                                                       \
    X(adamw, "n average")                                                                                              \
    X(ema, "n")                                                                                                        \
    X(nesterov, "n")                                                                                                   \
    X(normalize, "n")                                                                                                  \
    X(polynomial, "n")                                                                                                 \
    X(decay_step, "n")

#define OP_ENUM_(name, sizes) OP_##name,
typedef enum { OP_ROWS(OP_ENUM_) OP_N } op_row;
#undef OP_ENUM_

enum { OP_MAX_SIZES = 7, OP_MAX_OPERANDS = 14 };

typedef struct {
    op_row row;
    int64_t n[OP_MAX_SIZES]; /* unused ones 0 */
} op_call_t;

typedef enum {
    OP_ACT,
    OP_F32,
    OP_POSITIVE, /* f32: deviations, second moments, timesteps */
    OP_F64,
    OP_U8,
    OP_IDS,  /* i32, all different */
    OP_KEYS, /* i32 [B], of the call's sum */
    OP_GATE, /* step_gate_t: zeros, which take the step */
} op_type;

/* Device memory that a call touches. */
typedef struct {
    op_type type;
    int64_t n;    /* elements that it touches, once or twice; 0: the operand is not there (NULL) */
    int64_t room; /* elements of the matrix that they are columns of; n where they are all of it */
    bool read, written;
} op_operand_t;

const char *op_name(op_row row);
/* "R 24576 out 4608 in 1536": for people; the sizes that are not 0. */
void op_describe(str_t *out, const op_call_t *call);
bool op_is_on_host(op_row row); /* upload, download: op_make does not know them */

size_t op_type_bytes(op_type type, size_t act_bytes);
/* Fills operand[] and returns their number; 0 for upload and download. */
int op_operands(op_operand_t operand[OP_MAX_OPERANDS], const op_call_t *call);
/* Bytes of the operands, each read once, written once, or both: the least that the call can move. */
double op_least_bytes(const op_call_t *call, size_t act_bytes);
/* Calls the row of k. p: device addresses of the operands; NULL for those that are not there. */
void op_make(kernels_t *k, const op_call_t *call, void *const p[OP_MAX_OPERANDS]);

#endif
