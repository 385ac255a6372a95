# SPDX-License-Identifier: Apache-2.0
# The one place that names the version. The SONAME number changes only when an existing program
# could break; before 1.0 it is 0 and nothing is frozen (docs/abi.md).
set(POLICY_VERSION 0.1.0)
set(POLICY_SOVERSION 0)
