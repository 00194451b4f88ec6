/* Patterns of paths: which, in which order, and what is an error. */
#include <unistd.h>

#include "data/source_expand.h"
#include "tests/unit/source_files.h"

/* Expands the patterns, separated by spaces, in the test's folder; the paths, separated by spaces, or the message. */
static const char *expansion(const char *patterns, int64_t *n_missing) {
    static char text[4096];
    char copy[256], *list[16], *rest = copy, **paths;
    int n_patterns = 0;
    int64_t n;
    snprintf(copy, sizeof copy, "%s", patterns);
    while ((list[n_patterns] = strsep(&rest, " "))) n_patterns++;
    if (source_expand(&paths, &n, list, n_patterns, n_missing) != LENS_OK) {
        assert_null(paths);
        return lens_error();
    }
    int used = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < n; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%s", i ? " " : "", paths[i]);
    dir_list_free(paths, n);
    return text;
}

static void test_expand(void **state) {
    (void)state;
    char *folder = getcwd(NULL, 0);
    assert_int_equal(chdir(test_dir), 0);
    const char *const files[] = {"00008.tar", "00009.tar", "00010.tar", "8.tar", "9.tar",     "10.tar",
                                 "B.tar",     "a.tar",     "[x].tar",   "x.tar", "{a,b}.tar", "b.tsv"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) put_text(files[i], "");
    const char *const cases[][2] = {
        {"-", "-"},
        {"a.tar b.tsv a.tar", "a.tar b.tsv a.tar"},
        {"{00008..00010}.tar", "00008.tar 00009.tar 00010.tar"},
        {"{8..10}.tar", "8.tar 9.tar 10.tar"},
        {"{00008..10}.tar", "00008.tar 00009.tar 00010.tar"},
        {"0000{8..9}.tar", "00008.tar 00009.tar"},
        {"{b.tsv,a.tar}", "b.tsv a.tar"},
        {"{0000{8..9},a}.tar", "00008.tar 00009.tar a.tar"},
        {"{x,a}{,}.tar", "x.tar x.tar a.tar a.tar"},
        {"[x].tar", "[x].tar"},
        {"{a,b}.tar", "{a,b}.tar"},
        {"[ax].tar", "a.tar x.tar"},
        {"[!0-9].tar", "B.tar a.tar x.tar"},
        {"0*.tar ?.tsv", "00008.tar 00009.tar 00010.tar b.tsv"},
        {"{0,1}*.tar", "00008.tar 00009.tar 00010.tar 10.tar"},
        /* errors */
        {"nowhere.tar", "nowhere.tar: no such file or folder"},
        {"{00008..00011}.tar", "00011.tar: no such file or folder (named by {00008..00011}.tar)"},
        {"q*.tar", "q*.tar: matches no file"},
        {"{a,q*}.tar", "q*.tar: matches no file"},
        {"{9..8}.tar", "{9..8}.tar: a range that falls: expected {FIRST..LAST}"},
        {"{a.tar", "{a.tar: a brace is not closed"},
        {"{a}.tar", "{a}.tar: expected {00000..00099} or {a,b} at {a}.tar"},
        {"{}.tar", "{}.tar: expected {00000..00099} or {a,b} at {}.tar"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(expansion(cases[i][0], NULL), cases[i][1]);
    int64_t n_missing = 0;
    assert_string_equal(expansion("{00009..00012}.tar nowhere a.tar", &n_missing), "00009.tar 00010.tar a.tar");
    assert_int_equal(n_missing, 3);
    assert_non_null(strstr(expansion("{0..999999999999}.tar", &n_missing), "names more than"));
    assert_int_equal(chdir(folder), 0);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expand, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
