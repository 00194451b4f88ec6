/* Asks the real cuDNN for its plans of attention, without a GPU: for one that is described to it.
 *
 *   cudnn_plans      exit 0: every plan that should be there is, and those that should not are not
 *
 * What becomes a plan has its attributes spelt right, is a graph that cuDNN recognises as attention, has an engine, and
 * was compiled for the device. What it computes remains to be seen: tests/gpu/check_attention.c. */
#include "kernels/cuda/cuda_sdpa_plan.cuh"

#include <stdio.h>
#include <string.h>

/* As cuDNN writes them; amounts are public ones. */
#define DEVICE(name, version, processors, shared)                                                                      \
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"                \
    "\"multiProcessorCount\":" processors ",\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"                        \
    "\"maxSharedMemoryPerBlockOptin\":" shared ",\"reservedSharedMemoryPerBlock\":1024,"                               \
    "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,"            \
    "\"pciDeviceId\":592449758,\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":85029158912,"              \
    "\"smClockRateKHz\":1980000,\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"cudaDeviceId\":0,"              \
    "\"deviceVer\":" version ",\"driverVer\":13000,\"deviceName\":\"" name "\"}"

static const char *const H100 = DEVICE("NVIDIA H100 80GB HBM3", "900", "132", "232448"), *const A100 = DEVICE(
                                                                                             "NVIDIA A100-SXM4-80GB",
                                                                                             "800", "108", "166912");

typedef struct {
    const char *device;
    sdpa_key_t key;
    bool exists;
} case_t;

/* B, H, S, K, M, backward, deterministic */
static const case_t cases[] = {
    {H100, {8, 24, 4352, 64, 4352, 0, 0}, true}, {H100, {8, 24, 4352, 64, 4352, 1, 0}, true},
    {H100, {8, 24, 4352, 64, 4352, 1, 1}, true}, {H100, {2, 12, 333, 128, 300, 0, 0}, true},
    {H100, {2, 12, 333, 128, 300, 1, 0}, true},  {H100, {2, 12, 333, 128, 300, 1, 1}, true},
    {H100, {1, 3, 17, 8, 17, 1, 1}, true},       {A100, {2, 12, 333, 128, 300, 0, 0}, true},
    {A100, {2, 12, 333, 128, 300, 1, 1}, true},  {H100, {2, 12, 333, 12, 300, 0, 0}, false},
};

static lens_status describe(cudnnBackendDescriptor_t *out, const char *device) {
    *out = NULL;
    LENS_TRY(sdpa_failed(cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, out), "a device"));
    LENS_TRY(sdpa_failed(cudnnBackendSetAttribute(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                                  (int64_t)strlen(device), device),
                         "a device"));
    return sdpa_failed(cudnnBackendFinalize(*out), "a device");
}

/* Whether cuDNN does what it should. */
static bool check(const case_t *c) {
    cudnnBackendDescriptor_t device = NULL;
    const sdpa_key_t *k = &c->key;
    sdpa_plan_t plan = {};
    lens_status st = describe(&device, c->device);
    bool described = st == LENS_OK;
    if (described) st = sdpa_plan_new(&plan, NULL, device, k);
    printf("%s, %s%s of %lld x %lld, %lld queries, %lld keys of %lld: ", c->device == H100 ? "H100" : "A100",
           k->backward ? "backward" : "forward", k->deterministic ? " deterministic" : "", (long long)k->B,
           (long long)k->H, (long long)k->M, (long long)k->S, (long long)k->K);
    if (st == LENS_OK)
        printf("%lld bytes of workspace%s\n", (long long)plan.workspace_bytes, plan.noted ? ", nondeterministic" : "");
    else
        printf("%s\n", lens_error());
    if (st == LENS_OK) sdpa_plan_free(&plan);
    if (device) (void)cudnnBackendDestroyDescriptor(device);
    return described && (st == LENS_OK) == c->exists;
}

int main(void) {
    int n_wrong = 0;
    printf("cuDNN %zu\n", cudnnGetVersion());
    for (const case_t &c : cases) n_wrong += !check(&c);
    if (n_wrong) printf("%d plans are not as expected\n", n_wrong);
    return n_wrong != 0;
}
