/* hello.c - the README's example: put a bun, take it, eat it, join. */
#include <baozi.h>
#include <stdio.h>

int main(void)
{
    struct baozi *client;
    struct baozi_item bun;
    enum baozi_status status = baozi_open(NULL, &client);
    if (status == BAOZI_OK)
        status = baozi_declare(client, "buns", NULL);
    if (status == BAOZI_OK)
        status = baozi_put(client, "buns", "meat bun", 8, NULL, 1000, NULL);
    if (status == BAOZI_OK)
        status = baozi_get(client, "buns", NULL, 1000, &bun);
    if (status == BAOZI_OK) {
        printf("ate a %.*s\n", (int)bun.bytes, (const char *)bun.payload);
        status = baozi_done(client, &bun);
    }
    if (status == BAOZI_OK)
        status = baozi_join(
            client, "buns", BAOZI_SCOPE_QUEUE, NULL, BAOZI_FOREVER, NULL);
    printf("%s\n", baozi_status_text(status));
    baozi_close(client);
    return baozi_status_exit_code(status);
}
