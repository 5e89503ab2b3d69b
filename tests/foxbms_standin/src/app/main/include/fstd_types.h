#ifndef STANDIN_FSTD_TYPES_H
#define STANDIN_FSTD_TYPES_H

#define NULL_PTR ((void *)0)

typedef enum {
    STD_OK,
    STD_NOT_OK,
} STD_RETURN_TYPE_e;

#endif
