/* What this binary was built from: for `lens --version`, and to be logged and saved with every checkpoint. */
#ifndef LENS_BASE_BUILD_INFO_H
#define LENS_BASE_BUILD_INFO_H

const char *build_version(void);    /* "0.1.0" */
const char *build_commit(void);     /* git describe when configured, "unknown" outside a git checkout */
const char *build_type(void);       /* "Release -march=native" */
const char *build_flags(void);      /* of the compiler */
const char *build_compiler(void);   /* "GNU 12.2.0" */
const char *build_source_dir(void); /* root of the source tree: where configs/ and data/ are */

#endif
