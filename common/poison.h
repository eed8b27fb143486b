/*
 * poison.h - tells the address sanitizer which memory is nobody's.
 *
 * The containers give out memory from one range, which the sanitizer cannot
 * tell apart by itself. With these marks a use after give is reported where
 * it happens. Without the sanitizer they are nothing.
 */
#ifndef BAO_POISON_H
#define BAO_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define BAO_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BAO_POISONS 1
#endif
#endif

#ifdef BAO_POISONS
#include <sanitizer/asan_interface.h>
#define BAO_POISON(at, bytes)   __asan_poison_memory_region((at), (bytes))
#define BAO_UNPOISON(at, bytes) __asan_unpoison_memory_region((at), (bytes))
#else
#define BAO_POISON(at, bytes)   ((void)(at), (void)(bytes))
#define BAO_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

#endif
