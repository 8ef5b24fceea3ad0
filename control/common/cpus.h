/*
 * How many CPUs there are for this process. A container often sees all CPUs of its machine and gets the time of a few:
 * a thread for each of them would only wait for its turn. Thread: any.
 */
#ifndef RG_COMMON_CPUS_H
#define RG_COMMON_CPUS_H

/* Those that it may run on, and no more than the quota of its control groups is worth. At least 1. */
unsigned rg_cpus_usable(void);

/* What the quota is worth, in whole CPUs, rounded up: the least of all groups that the process is in. 0: none.
 * `root` stands before all paths: "" but in tests. */
unsigned rg_cpus_quota(const char *root);

#endif
