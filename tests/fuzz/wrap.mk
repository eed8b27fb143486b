# wrap.mk - whose calls a fuzz target answers itself, as __wrap_NAME().
#
# The dispatch sees every step of the core, has randomness that repeats, and
# writes no log.
FUZZ_WRAP_fuzz_dispatch := bao_core_step bao_core_tick bao_random_fill \
    bao_log_line
# The repair's broker has no threads, no plug is pulled, nobody sleeps, and
# nothing is printed.
FUZZ_WRAP_fuzz_repair := bao_log_line bao_log_threads_clear fsync poll \
    write
