/* See config_fixture.h. The working directory is a temporary one while a group of tests runs. */
#include "tests/unit/options/config_fixture.h"

#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/rg-config-XXXXXX";

int config_setup(void **state)
{
    (void)state;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

int config_teardown(void **state)
{
    (void)state;
    unlink("t.yaml");
    return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

struct loaded config_load(const char *text, size_t len, const struct rg_flags *flags)
{
    struct loaded l = {0};
    struct rg_flags mine = flags ? *flags : (struct rg_flags){.replica = "9000"};
    size_t errors_len = 0;
    FILE *file = fopen("t.yaml", "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    if (!mine.config_path) {
        mine.config_path = "t.yaml";
        mine.config_given = true;
    }
    FILE *err = open_memstream(&l.errors, &errors_len);
    assert_non_null(err);
    l.rc = rg_options_load(&mine, &l.settings, err);
    fclose(err);
    return l;
}

void config_free(struct loaded *l)
{
    free(l->errors);
}

struct rg_settings config_good(const char *text)
{
    struct loaded l = config_load(text, strlen(text), NULL);
    assert_string_equal(l.errors, "");
    assert_int_equal(l.rc, 0);
    config_free(&l);
    return l.settings;
}

void config_bad_bytes(const char *text, size_t len, const char *errors)
{
    static const struct rg_settings untouched;
    struct loaded l = config_load(text, len, NULL);
    assert_string_equal(l.errors, errors);
    assert_true(l.rc < 0);
    assert_memory_equal(&l.settings, &untouched, sizeof(untouched));
    config_free(&l);
}

void config_bad(const char *text, const char *errors)
{
    config_bad_bytes(text, strlen(text), errors);
}
