/* Which files a checkpoint has, which rank writes each, and where their values wait in host memory until they are
 * written. A pure function of plan, partition and fields; nothing large is allocated.
 *
 * Master weights and averages are exported whole, as pipelines: "w" to the checkpoint itself, the first average to
 * ema/, further ones to ema-DECAY/. Their files are dealt to the ranks in turn. What else a rank owns goes to its own
 * file of state/, by slices named FIELD.TENSOR:FIRST, elements from FIRST on; where ranks hold the same state
 * (partition.n_pieces 1), each writes a share of the groups. */
#ifndef LENS_TRAIN_CHECKPOINT_LAYOUT_H
#define LENS_TRAIN_CHECKPOINT_LAYOUT_H

#include "model/pipeline.h"
#include "model/weights_cut.h"
#include "model/adapter.h"
#include "train/state_view.h"

#define CHECKPOINT_NAME_MAX 192

/* One field's tensors in one part of a pipeline. */
typedef struct {
    int field;
    pipeline_part part;
    char folder[CHECKPOINT_NAME_MAX]; /* below the checkpoint: "ema/transformer"; "" for the checkpoint itself */
    int n;
    int *row;                         /* [n] of the plan */
    int64_t *at;                      /* [n] floats: where the values wait, -1 where another rank writes them */
    st_entry_t *entry;                /* [n], without bytes */
    char (*name)[PLAN_NAME_MAX + 16]; /* [n] of the entries of an adapter: "transformer." before the tensor's */
    weights_cut_t cut;
    int first_file; /* number of its first file among all exported ones */
} checkpoint_export_t;

typedef struct {
    int field;
    const partition_slice_t *slice;
    int64_t at;
    char name[PLAN_NAME_MAX + 64];
} checkpoint_slice_t;

typedef struct {
    const plan_t *plan;
    int rank, world;
    int n_exports;
    checkpoint_export_t *export;
    int n_slices;
    checkpoint_slice_t *slice; /* [n_slices] that this rank writes */
    int64_t n_floats;          /* that this rank writes */
} checkpoint_layout_t;

/* fields: their names. max_file_bytes: WEIGHTS_FILE_MAX_BYTES, or less in tests. Plan and partition are borrowed. */
LENS_CHECKED lens_status checkpoint_layout_init(checkpoint_layout_t *out, const plan_t *plan,
                                                const partition_t *partition, int n_fields, const char *const *fields,
                                                int rank, int world, uint64_t max_file_bytes);
void checkpoint_layout_free(checkpoint_layout_t *l);
static inline int checkpoint_file_owner(const checkpoint_layout_t *l, const checkpoint_export_t *e, int file) {
    return (e->first_file + file) % l->world;
}
/* "ema/transformer/diffusion_pytorch_model-00001-of-00004.safetensors" */
void checkpoint_file_name(char out[CHECKPOINT_NAME_MAX], const checkpoint_export_t *e, int file);
/* "", "ema/", "ema-DECAY/" of a field that is exported; false of others. first_ema: whether it is the first average. */
bool checkpoint_field_folder(char out[CHECKPOINT_NAME_MAX], const char *field, bool first_ema);
bool checkpoint_field_is_average(const char *field);
/* Elements of a slice as a file names them; false where the name has no FIRST. *length: of what stands before it. */
bool checkpoint_slice_parse(const char *name, size_t *length, int64_t *first);

#endif
