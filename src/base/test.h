/* What every unit test includes: cmocka and what it needs. Tests only. Layer: base. */
#pragma once
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
