# The few ways in which a target of ours is made. Sources are listed by hand in each folder's CMakeLists.txt.

# certmill_library(NAME n SOURCES ... LINK ...): a static library of one folder. LINK names what it stands on, and hands it on.
function(certmill_library)
  cmake_parse_arguments(A "" "NAME" "SOURCES;LINK" ${ARGN})
  add_library(${A_NAME} STATIC ${A_SOURCES})
  set_property(GLOBAL APPEND PROPERTY CERTMILL_LIBRARIES ${A_NAME})
  target_link_libraries(${A_NAME} PUBLIC certmill_options ${A_LINK})
  # libssl is C++ inside; linking by the C++ driver finds the little run time that it needs.
  set_target_properties(${A_NAME} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# certmill_program(NAME n SOURCES ... LINK ...): a program in build/<preset>/bin.
function(certmill_program)
  cmake_parse_arguments(A "" "NAME" "SOURCES;LINK" ${ARGN})
  add_executable(${A_NAME} ${A_SOURCES})
  set_property(GLOBAL APPEND PROPERTY CERTMILL_PROGRAMS ${A_NAME})
  target_link_libraries(${A_NAME} PRIVATE certmill_options ${A_LINK})
  set_target_properties(${A_NAME} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# What every ctest entry of ours finds: its labels, a bound, 77 for skipped, and in the environment where things are. Debian's
# programs come first in PATH: another python3, for one, would not have Debian's modules.
set(CERTMILL_PYTHON /usr/bin/python3)
function(certmill_test_properties test labels timeout)
  set_tests_properties(${test} PROPERTIES LABELS "${labels}" SKIP_RETURN_CODE 77 TIMEOUT ${timeout}
    ENVIRONMENT "CERTMILL_SOURCE_DIR=${CMAKE_SOURCE_DIR};CERTMILL_DEPS=${CERTMILL_DEPS};CERTMILL_BIN=${CMAKE_BINARY_DIR}/bin;CERTMILL_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1"
    ENVIRONMENT_MODIFICATION "PATH=path_list_prepend:/usr/sbin;PATH=path_list_prepend:/usr/bin")
endfunction()

# certmill_unit_test(NAME n SOURCES ... LINK ... [LABELS l...] [TIMEOUT s]): a cmocka program that is one ctest entry.
function(certmill_unit_test)
  cmake_parse_arguments(A "" "NAME;TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(${A_NAME} ${A_SOURCES})
  target_link_libraries(${A_NAME} PRIVATE certmill_options ${A_LINK} dep::cmocka)
  set_target_properties(${A_NAME} PROPERTIES LINKER_LANGUAGE CXX RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${A_NAME} COMMAND ${A_NAME})
  certmill_test_properties(${A_NAME} "${A_LABELS}" ${A_TIMEOUT})
  if(A_NAME MATCHES "^(proto|vectors)_") # what suite aarch64 builds
    if(NOT TARGET proto_tests)
      add_custom_target(proto_tests)
    endif()
    add_dependencies(proto_tests ${A_NAME})
  endif()
endfunction()

# certmill_script_test(NAME n COMMAND ... LABELS l [TIMEOUT s]): a script that is one ctest entry, with the same environment.
function(certmill_script_test)
  cmake_parse_arguments(A "" "NAME;TIMEOUT" "COMMAND;LABELS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  list(TRANSFORM A_COMMAND REPLACE "^python3$" ${CERTMILL_PYTHON} AT 0)
  add_test(NAME ${A_NAME} COMMAND ${A_COMMAND})
  certmill_test_properties(${A_NAME} "${A_LABELS}" ${A_TIMEOUT})
endfunction()

# certmill_fuzz_target(NAME n SOURCES ... LINK ...): with CERTMILL_FUZZ a libFuzzer program; elsewhere the same code with
# tests/fuzz/replay.c as main, run over tests/fuzz/corpus/<NAME> as a ctest entry.
function(certmill_fuzz_target)
  cmake_parse_arguments(A "" "NAME" "SOURCES;LINK" ${ARGN})
  if(CERTMILL_FUZZ)
    add_executable(${A_NAME}_fuzz ${A_SOURCES})
    target_link_options(${A_NAME}_fuzz PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET fuzz_targets)
      add_custom_target(fuzz_targets) # what scripts/fuzz builds
    endif()
    add_dependencies(fuzz_targets ${A_NAME}_fuzz)
  else()
    add_executable(${A_NAME}_fuzz ${A_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME ${A_NAME}_fuzz COMMAND ${A_NAME}_fuzz ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${A_NAME})
    certmill_test_properties(${A_NAME}_fuzz fuzz 120)
  endif()
  target_link_libraries(${A_NAME}_fuzz PRIVATE certmill_options ${A_LINK})
  set_target_properties(${A_NAME}_fuzz PROPERTIES LINKER_LANGUAGE CXX RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

# certmill_protobuf_c(NAME n PROTO path/x.proto): library n with the generated path/x.pb-c.{h,c}; include "path/x.pb-c.h".
function(certmill_protobuf_c)
  cmake_parse_arguments(A "" "NAME;PROTO" "" ${ARGN})
  string(REGEX REPLACE "\\.proto$" "" stem ${A_PROTO})
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  add_custom_command(OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
    COMMAND ${CERTMILL_PROTOC_C} --c_out=${out} -I ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/${A_PROTO}
    DEPENDS ${CMAKE_SOURCE_DIR}/${A_PROTO} VERBATIM)
  add_library(${A_NAME} STATIC ${out}/${stem}.pb-c.c)
  # Generated code is not held to our warnings.
  target_include_directories(${A_NAME} SYSTEM PUBLIC ${out})
  target_link_libraries(${A_NAME} PUBLIC certmill_sanitize dep::protobuf_c)
endfunction()
