/*
 * operation_check.h - what must be true of an operation as a whole.
 *
 * The reader has checked each key for itself (type, range, text). Here the
 * keys are held against the verb and against each other: the required ones
 * there, none that is not the verb's, columns of one length, request ids and
 * tokens that do not overflow, lengths within limits, ranges in order.
 *
 * Pure. Tests and careful senders may ask it before they encode.
 */
#ifndef BAO_OPERATION_CHECK_H
#define BAO_OPERATION_CHECK_H

#include "common/operation.h"

/* NULL if all is well, else what is not: a static text. */
const char *bao_operation_check(const struct bao_operation *operation);

/* The part of it that is about RID alone. */
const char *bao_operation_check_rid(const struct bao_operation *operation);

#endif
