/* Apart from all else, so that a new commit compiles this file only. The definitions are set by CMakeLists.txt. */
#include "base/build_info.h"

const char *build_version(void) {
    return LENS_VERSION;
}
const char *build_commit(void) {
    return LENS_COMMIT;
}
const char *build_type(void) {
    return LENS_BUILD;
}
const char *build_flags(void) {
    return LENS_C_FLAGS;
}
const char *build_compiler(void) {
    return LENS_COMPILER;
}
const char *build_source_dir(void) {
    return LENS_SOURCE_DIR;
}
