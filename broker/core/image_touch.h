/*
 * image_touch.h - what the store calls before it changes or frees a record.
 *
 * A record whose stamp is not the image's was there when the image began and
 * was not saved yet. While no image is under way this costs one comparison.
 * New records are stamped (bao_image_stamp), for the image knows nothing of
 * them.
 */
#ifndef BAO_CORE_IMAGE_TOUCH_H
#define BAO_CORE_IMAGE_TOUCH_H

#include "broker/core/state.h"

void bao_image_save_session(struct bao_core *core, struct bao_session *session);
void bao_image_save_answer(struct bao_core *core, struct bao_answer *answer);
void bao_image_save_progress(struct bao_core *core, struct bao_progress *one);
void bao_image_save_queue(struct bao_core *core, struct bao_queue *queue);
void bao_image_save_group(struct bao_core *core, struct bao_group *group);
void bao_image_save_dedup(struct bao_core *core, struct bao_dedup *dedup);
void bao_image_save_tally(struct bao_core *core, struct bao_tally *tally);
void bao_image_save_outcome(struct bao_core *core, struct bao_outcome *outcome);
void bao_image_save_item(struct bao_core *core, struct bao_item *item);

#define BAO_IMAGE_TOUCHES(noun)                                       \
    static inline void bao_image_touch_##noun(struct bao_core *core,  \
                                              struct bao_##noun *one) \
    {                                                                 \
        if (core->image != NULL && one->stamp != core->stamp) {       \
            bao_image_save_##noun(core, one);                         \
        }                                                             \
    }
BAO_IMAGE_TOUCHES(session)
BAO_IMAGE_TOUCHES(answer)
BAO_IMAGE_TOUCHES(progress)
BAO_IMAGE_TOUCHES(queue)
BAO_IMAGE_TOUCHES(group)
BAO_IMAGE_TOUCHES(dedup)
BAO_IMAGE_TOUCHES(tally)
BAO_IMAGE_TOUCHES(outcome)
BAO_IMAGE_TOUCHES(item)
#undef BAO_IMAGE_TOUCHES

#endif
