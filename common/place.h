/*
 * place.h - where the local broker's ipc socket is (SPEC S11).
 *
 * The folder is $BAOZI_RUNTIME_DIR, else $XDG_RUNTIME_DIR/baozi, else
 * baozi-<uid> under $TMPDIR or /tmp; the socket in it is broker.sock. The
 * broker makes the folder (0700), clients only look. A folder under the
 * temporary directory is used only if it belongs to this user and nobody else
 * may enter it, so that no other user can play the broker.
 */
#ifndef BAO_PLACE_H
#define BAO_PLACE_H

#include "common/baozi.h"

#define BAO_PLACE_SOCKET     "broker.sock"
#define BAO_PLACE_PATH_BYTES 108 /* sun_path, its final NUL included */

struct bao_place {
    char folder[BAO_PLACE_PATH_BYTES];
    char socket[BAO_PLACE_PATH_BYTES];  /* folder/broker.sock */
    char url[BAO_PLACE_PATH_BYTES + 8]; /* ipc://folder/broker.sock */
    char why[256];                      /* the text of a refusal */
};

/*
 * For the broker: chooses the folder and makes it if it is not there.
 * OK | DENIED (it is not ours alone, or cannot be made: place->why) |
 * TOO_BIG (the path is too long for a socket: place->why)
 */
BAOZI_MUST_USE enum baozi_status bao_place_make(struct bao_place *place);

/*
 * For clients: the first of the places above in which a socket is, else the
 * first one. $BAOZI_RUNTIME_DIR, if set, is the only place. Makes nothing.
 * OK | TOO_BIG | DENIED (the folder is not ours alone), both with place->why
 */
BAOZI_MUST_USE enum baozi_status bao_place_find(struct bao_place *place);

#endif
