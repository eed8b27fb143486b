/*
 * test_place.c - where the local broker's socket is, for broker and clients.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/place.h"
#include "tests/lib/unit.h"

static char root[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/baozi-place-XXXXXX");
    return mkdtemp(root) == NULL || setenv("TMPDIR", root, 1) != 0 ||
                   unsetenv("BAOZI_RUNTIME_DIR") != 0 ||
                   unsetenv("XDG_RUNTIME_DIR") != 0
               ? -1
               : 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void make_socket(const struct bao_place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(
        address.sun_path, sizeof address.sun_path, "%s", place->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
}

/* [S11] BAOZI_RUNTIME_DIR is the only place if it is set. */
static void test_place__takes_the_folder_that_was_given(void **state)
{
    (void)state;
    struct bao_place made;
    struct bao_place found;
    char folder[100];
    (void)snprintf(folder, sizeof folder, "%s/run", root);
    assert_int_equal(setenv("BAOZI_RUNTIME_DIR", folder, 1), 0);
    assert_int_equal(bao_place_make(&made), BAOZI_OK);
    assert_int_equal(bao_place_find(&found), BAOZI_OK);
    assert_string_equal(made.folder, folder);
    assert_string_equal(made.url, found.url);
    assert_string_equal(made.url + strlen("ipc://"), made.socket);
}

/* [S11] Else $XDG_RUNTIME_DIR/baozi; clients find a broker that had none. */
static void test_place__looks_where_a_broker_may_be(void **state)
{
    (void)state;
    struct bao_place made;
    struct bao_place found;
    char xdg[100];
    assert_int_equal(bao_place_make(&made), BAOZI_OK);
    assert_int_equal(strncmp(made.folder, root, strlen(root)), 0);
    make_socket(&made);
    (void)snprintf(xdg, sizeof xdg, "%s/xdg", root);
    assert_int_equal(mkdir(xdg, 0700), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", xdg, 1), 0);
    assert_int_equal(bao_place_find(&found), BAOZI_OK);
    assert_string_equal(found.url, made.url);
    assert_int_equal(bao_place_make(&made), BAOZI_OK);
    assert_int_equal(strncmp(made.folder, xdg, strlen(xdg)), 0);
    make_socket(&made);
    assert_int_equal(bao_place_find(&found), BAOZI_OK);
    assert_string_equal(found.url, made.url);
}

/* Nobody else may play the broker from a folder under /tmp. */
static void test_place__refuses_a_folder_that_others_may_enter(void **state)
{
    (void)state;
    struct bao_place place;
    assert_int_equal(bao_place_make(&place), BAOZI_OK);
    assert_int_equal(chmod(place.folder, 0755), 0);
    assert_int_equal(bao_place_make(&place), BAOZI_DENIED);
    assert_non_null(strstr(place.why, place.folder));
    assert_int_equal(bao_place_find(&place), BAOZI_DENIED);
    assert_int_equal(rmdir(place.folder), 0);
    assert_int_equal(symlink(root, place.folder), 0);
    assert_int_equal(bao_place_make(&place), BAOZI_DENIED);
}

static void test_place__refuses_a_path_too_long_for_a_socket(void **state)
{
    (void)state;
    struct bao_place place;
    char folder[200];
    memset(folder, 'x', sizeof folder - 1);
    folder[0] = '/';
    folder[sizeof folder - 1] = '\0';
    assert_int_equal(setenv("BAOZI_RUNTIME_DIR", folder, 1), 0);
    assert_int_equal(bao_place_find(&place), BAOZI_TOO_BIG);
    assert_int_equal(bao_place_make(&place), BAOZI_TOO_BIG);
    assert_non_null(strstr(place.why, "BAOZI_RUNTIME_DIR"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_place__takes_the_folder_that_was_given),
        TEST(test_place__looks_where_a_broker_may_be),
        TEST(test_place__refuses_a_folder_that_others_may_enter),
        TEST(test_place__refuses_a_path_too_long_for_a_socket),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
