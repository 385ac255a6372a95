// SPDX-License-Identifier: Apache-2.0
// The same program: what is good C11 here is good C++17, too.
#include "program.c"
