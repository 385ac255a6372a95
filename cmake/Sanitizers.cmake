# SPDX-License-Identifier: Apache-2.0
if(POLICY_SANITIZE)
  add_compile_options(-fsanitize=${POLICY_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${POLICY_SANITIZE})
endif()
