/* version.h - the version under test: -DSTANDIN_VERSION=0x040500. Not Zephyr. */
#ifndef STANDIN_ZEPHYR_VERSION_H
#define STANDIN_ZEPHYR_VERSION_H

#if !defined(STANDIN_VERSION)
#define STANDIN_VERSION 0x040400
#endif
#define KERNEL_VERSION_NUMBER STANDIN_VERSION

#endif
